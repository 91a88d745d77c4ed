// SPDX-License-Identifier: Apache-2.0
//
// Does the real Chroma server take an index that was built or repaired here?
//
//     node server.mjs SCRIPT REBUILD DIRECTORY
//
// SCRIPT is scripts/real-chroma. For each space the server stores vectors and is stopped; REBUILD writes the index anew;
// the server is started again, has to find the nearest (recall@10 at least 0.99 against an exact search made here), to
// give back every vector and to go on adding.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, truncateSync, statSync } from "node:fs";
import { join } from "node:path";
import * as client from "./client.mjs";

const [script, rebuild, directory] = process.argv.slice(2);
const COUNT = 1500, DIM = 48, QUERIES = 100, K = 10;

let seed = 42;
function random() {
    seed = (Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((seed >>> 0) + 0.5) / 4294967296;
}

function vectors(count, centres) {
    return Array.from({ length: count }, (_, i) =>
        centres[i % centres.length].map((c) => Math.fround(c + 0.4 * (random() - 0.5))));
}

function distance(space, a, b) {
    let l2 = 0, dot = 0, aa = 0, bb = 0;
    for (let i = 0; i < a.length; i++) {
        l2 += (a[i] - b[i]) ** 2;
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return space === "l2" ? l2 : space === "ip" ? 1 - dot : 1 - dot / Math.sqrt(aa * bb);
}

const { stop } = client;
const start = (path) => {
    mkdirSync(path, { recursive: true });
    return client.start(script, "1.0.3", path);
};
const call = (server, path, body) => client.call(server, ["default_tenant", "default_database"], path, body);

function check(what, holds) {
    console.log(`${holds ? "ok" : "not ok"} - ${what}`);
    if (!holds)
        process.exitCode = 1;
}

async function recall(server, id, space, all, queries) {
    let right = 0;
    for (const q of queries) {
        const found = await call(server, `/${id}/query`, { query_embeddings: [q], n_results: K, include: ["distances"] });
        const best = [...all.keys()].sort((a, b) => distance(space, all[a], q) - distance(space, all[b], q)).slice(0, K);
        right += found.ids[0].filter((x) => best.includes(Number(x.slice(1)))).length;
    }
    return right / (QUERIES * K);
}

async function run(mode, space) {
    const path = join(directory, `${mode}-${space}`);
    const centres = Array.from({ length: 20 }, () => Array.from({ length: DIM }, () => random() - 0.5));
    const all = vectors(COUNT, centres), queries = vectors(QUERIES, centres);
    let server = await start(path);
    let id;
    try {
        id = (await call(server, "", { name: "test", configuration: { hnsw: { space } } })).id;
        for (let i = 0; i < COUNT; i += 500)
            await call(server, `/${id}/add`, {
                ids: all.slice(i, i + 500).map((_, k) => `r${i + k}`),
                embeddings: all.slice(i, i + 500),
            });
    } finally {
        await stop(server);
    }
    const segment = readdirSync(path).map((n) => join(path, n)).find((p) => existsSync(join(p, "index_metadata.pickle")));
    check(`${mode} ${space}: the server saved its index`, segment !== undefined);
    if (mode === "repair")
        truncateSync(join(segment, "link_lists.bin"), Math.floor(statSync(join(segment, "link_lists.bin")).size / 3));
    process.stdout.write(execFileSync(rebuild, [mode, space, segment]).toString().replace(/^(?=.)/gm, "# "));
    server = await start(path);
    try {
        const r = await recall(server, id, space, all, queries);
        check(`${mode} ${space}: recall@10 through the server ${r.toFixed(4)}`, r >= 0.99);
        const got = await call(server, `/${id}/get`, { include: ["embeddings"] });
        const off = got.ids.map((x, i) => Math.sqrt(distance("l2", all[Number(x.slice(1))], got.embeddings[i])));
        check(`${mode} ${space}: every vector comes back`, off.length === COUNT && Math.max(...off) < 1e-5);
        // More than fit into the capacity the header tells, and enough to be saved again.
        const more = vectors(1100, centres);
        await call(server, `/${id}/add`, { ids: more.map((_, i) => `r${COUNT + i}`), embeddings: more });
        const again = await recall(server, id, space, all.concat(more), queries);
        check(`${mode} ${space}: recall@10 after more were added ${again.toFixed(4)}`, again >= 0.95);
    } finally {
        await stop(server);
    }
    server = await start(path);
    try {
        const count = await call(server, `/${id}/count`);
        check(`${mode} ${space}: all are there after another start`, count === COUNT + 1100);
    } finally {
        await stop(server);
    }
}

console.log("1..20");
for (const [mode, space] of [["build", "l2"], ["build", "cosine"], ["build", "ip"], ["repair", "l2"]])
    await run(mode, space);
