// SPDX-License-Identifier: Apache-2.0
//
// A store of some size, by the real server, with the program in between.
//
//     node large.mjs SCRIPT VERSION VSCTL DIRECTORY
//
// Four collections of 2,000 records in all, made over HTTP. First the index of one loses its map and half of its
// links, is repaired, and has to find the nearest as before (recall@10 at least 0.99 against an exact search made
// here). Then a snapshot is taken, a migration goes wrong in one collection while the others go on being written,
// and only that one is rolled back: it is what it was, and the others are what they had become.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { call, start, stop } from "./client.mjs";

const [script, version, vsctl, directory] = process.argv.slice(2);
const store = join(directory, "store");
const DIM = 48, K = 10, QUERIES = 60, DATABASE = ["default_tenant", "default_database"];
const NAMES = ["alpha", "beta", "gamma", "delta"], COUNTS = [1400, 300, 200, 100];

let seed = 20261121;
function random() {
    seed = (Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((seed >>> 0) + 0.5) / 4294967296;
}

const centres = Array.from({ length: 30 }, () => Array.from({ length: DIM }, () => random() - 0.5));
function vector(i) {
    return centres[i % centres.length].map((c) => Math.fround(c + 0.4 * (random() - 0.5)));
}

function check(what, holds, why) {
    console.log(`${holds ? "ok" : "not ok"} - ${version}: ${what}`);
    if (!holds) {
        process.exitCode = 1;
        if (why)
            console.log(`# ${String(why).slice(0, 600)}`);
    }
}

function run(expected, ...args) {
    const done = spawnSync(vsctl, args, { encoding: "utf8" });
    check(`vsctl ${args.filter((a) => a !== store).join(" ")}: ${done.status}`, done.status === expected, done.stdout + done.stderr);
    return done.stdout;
}

async function serving(step) {
    const server = await start(script, version, store);
    try {
        return await step((path, body) => call(server, DATABASE, path, body));
    } finally {
        await stop(server);
    }
}

const l2 = (a, b) => a.reduce((s, x, i) => s + (x - b[i]) ** 2, 0);

async function recall(ask, id, all) {
    let right = 0;
    for (let q = 0; q < QUERIES; q++) {
        const v = vector(q);
        const found = await ask(`/${id}/query`, { query_embeddings: [v], n_results: K, include: [] });
        const best = [...all.keys()].sort((a, b) => l2(all[a], v) - l2(all[b], v)).slice(0, K).map((i) => `r${i}`);
        right += found.ids[0].filter((x) => best.includes(x)).length;
    }
    return right / (QUERIES * K);
}

// All of a collection, so that two of them are one text when they are the same.
async function content(ask, id) {
    const got = await ask(`/${id}/get`, { include: ["documents", "metadatas", "embeddings"] });
    return JSON.stringify(got.ids.map((x, i) => [x, got.documents[i], Object.entries(got.metadatas[i] ?? {}).sort(), got.embeddings[i]]).sort((a, b) => (a[0] < b[0] ? -1 : 1)));
}

const ids = {}, all = {};
await serving(async (ask) => {
    for (const [n, name] of NAMES.entries()) {
        ids[name] = (await ask("", { name, configuration: { hnsw: { space: "l2" } } })).id;
        all[name] = Array.from({ length: COUNTS[n] }, (_, i) => vector(i));
        for (let i = 0; i < COUNTS[n]; i += 200) {
            const part = all[name].slice(i, i + 200);
            await ask(`/${ids[name]}/add`, {
                ids: part.map((_, k) => `r${i + k}`), embeddings: part, documents: part.map((_, k) => `text ${i + k} of ${name}`),
                metadatas: part.map((_, k) => ({ n: i + k, odd: (i + k) % 2 === 1 })),
            });
        }
    }
});

const segment = readdirSync(store).map((n) => join(store, n)).find((p) => existsSync(join(p, "index_metadata.pickle")));
check("the server saved an index", segment !== undefined);
truncateSync(join(segment, "index_metadata.pickle"), 100);
truncateSync(join(segment, "link_lists.bin"), Math.floor(statSync(join(segment, "link_lists.bin")).size / 2));
run(4, "verify", store);
run(1, "repair", "--yes", store);
run(0, "verify", "--level", "deep", store);
const before = await serving(async (ask) => {
    const r = await recall(ask, ids.alpha, all.alpha);
    check(`recall@10 of the repaired index: ${r.toFixed(4)}`, r >= 0.99);
    return Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await content(ask, ids[name])])));
});

run(0, "snapshot", "create", "--name", "before", store);
const after = await serving(async (ask) => {
    const some = Array.from({ length: 700 }, (_, i) => `r${2 * i}`);
    await ask(`/${ids.alpha}/delete`, { ids: some.slice(0, 300) });
    await ask(`/${ids.alpha}/update`, { ids: some.slice(300, 500), embeddings: some.slice(300, 500).map(() => Array(DIM).fill(0.001)), documents: some.slice(300, 500).map(() => "lost") });
    await ask(`/${ids.alpha}/add`, { ids: ["strange"], embeddings: [vector(1)] });
    for (const name of NAMES.slice(1))
        await ask(`/${ids[name]}/add`, { ids: ["later"], embeddings: [vector(3)], documents: ["written meanwhile"] });
    return Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await content(ask, ids[name])])));
});
check("the migration went wrong", after.alpha !== before.alpha);
run(0, "rollback", "--yes", "--partial", "--collections", "alpha", store, "before");
run(0, "verify", store);
await serving(async (ask) => {
    check("the collection is what it was", (await content(ask, ids.alpha)) === before.alpha);
    for (const name of NAMES.slice(1))
        check(`${name} is what it had become`, (await content(ask, ids[name])) === after[name]);
    const r = await recall(ask, ids.alpha, all.alpha);
    check(`recall@10 after the rollback: ${r.toFixed(4)}`, r >= 0.99);
    await ask(`/${ids.alpha}/add`, { ids: ["new"], embeddings: [vector(5)], documents: ["goes on"] });
});
await serving(async (ask) => check("what is written now stays", (await ask(`/${ids.alpha}/count`)) === COUNTS[0] + 1));
