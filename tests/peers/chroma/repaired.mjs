// SPDX-License-Identifier: Apache-2.0
//
// Does the real Chroma server live with what was repaired?
//
//     node repaired.mjs SCRIPT VERSION TRUTH STORE REPORT
//
// SCRIPT is scripts/real-chroma, TRUTH what a client wrote: collection -> tenant, database, space and records
// (e: embedding, d: document, m: metadata). The server starts on STORE; counts agree; each record comes back as
// it was written, but for what the REPORT of the repair calls incomplete: those have their text and metadata, and no
// vector, or one that has lost its length; a query finds a record by its own vector; adding, updating and deleting
// work; all of that is still so after another start. One line of TAP a collection.

import { readFileSync } from "node:fs";
import { call, start, stop } from "./client.mjs";

const [script, version, truthFile, store, report] = process.argv.slice(2);
const truth = JSON.parse(readFileSync(truthFile));

// "collection id/record id" -> "vector" or "length"
const incomplete = new Map((JSON.parse(readFileSync(report)).incomplete ?? []).map((r) => [`${r.collection}/${r.id}`, r.missing]));

// Values of metadata come back one unit in the last place off; cosine vectors are kept with their length apart.
function near(a, b, tolerance) {
    return a === b || (typeof a === "number" && typeof b === "number" && Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b)));
}

function sameMetadata(a, b) {
    const left = Object.entries(a ?? {}), right = b ?? {};
    return left.length === Object.keys(right).length && left.every(([k, v]) => near(v, right[k], 1e-12));
}

function unit(a) {
    const size = Math.sqrt(a.reduce((s, x) => s + x * x, 0));
    return a.map((x) => x / size);
}

function sameVector(a, b) {
    const size = Math.sqrt(a.reduce((s, x) => s + x * x, 0));
    return b && a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) <= 2e-6 * size);
}

async function look(server, name, wanted, problems) {
    const database = [wanted.tenant ?? "default_tenant", wanted.database ?? "default_database"];
    const all = await call(server, database, "");
    const id = all.find((c) => c.name === name)?.id;
    if (!id) {
        problems.push("the collection is not there");
        return null;
    }
    const got = await call(server, database, `/${id}/get`, { include: ["documents", "metadatas"] });
    const at = new Map(got.ids.map((x, i) => [x, i]));
    // One record without a vector, and a request for all of them fails.
    const whole = got.ids.filter((x) => incomplete.get(`${id}/${x}`) !== "vector");
    const vectors = whole.length ? await call(server, database, `/${id}/get`, { ids: whole, include: ["embeddings"] }) : { ids: [] };
    const vectorOf = new Map(vectors.ids.map((x, i) => [x, vectors.embeddings[i]]));
    for (const [key, r] of Object.entries(wanted.recs)) {
        const i = at.get(key);
        const missing = incomplete.get(`${id}/${key}`);
        at.delete(key);
        if (i === undefined)
            problems.push(`${key} is not there`);
        else if ((got.documents[i] ?? null) !== (r.d ?? null))
            problems.push(`${key} has another text`);
        else if (!sameMetadata(r.m, got.metadatas[i]))
            problems.push(`${key} has other metadata: ${JSON.stringify(got.metadatas[i])}`);
        else if (missing === "length" && !(vectorOf.has(key) && sameVector(unit(r.e), unit(vectorOf.get(key)))))
            problems.push(`${key} has another direction`);
        else if (!missing && !sameVector(r.e, vectorOf.get(key)))
            problems.push(`${key} has another vector`);
    }
    for (const key of at.keys())
        if (!key.startsWith("new-"))
            problems.push(`${key} is there, and was never written`);
    const count = await call(server, database, `/${id}/count`);
    if (count !== got.ids.length)
        problems.push(`counts ${count}, and gives ${got.ids.length}`);
    return { database, id };
}

async function query(server, where, wanted, problems) {
    for (const [key, r] of Object.entries(wanted.recs).slice(0, 5)) {
        const n = Math.min(10, Object.keys(wanted.recs).length);
        const found = await call(server, where.database, `/${where.id}/query`, { query_embeddings: [r.e], n_results: n, include: ["distances"] });
        // By inner product, another may be nearer than the vector itself.
        if (wanted.space !== "ip" && !incomplete.has(`${where.id}/${key}`) && !found.ids[0].includes(key))
            problems.push(`${key} is not found by its own vector`);
    }
}

async function write(server, where, wanted) {
    const e = Object.values(wanted.recs)[0].e;
    await call(server, where.database, `/${where.id}/add`, { ids: ["new-1", "new-2"], embeddings: [e, e], documents: ["first", "second"] });
    await call(server, where.database, `/${where.id}/update`, { ids: ["new-1"], documents: ["changed"], embeddings: [e.map((x) => -x)] });
    await call(server, where.database, `/${where.id}/delete`, { ids: ["new-2"] });
}

async function wrote(server, where, problems) {
    const got = await call(server, where.database, `/${where.id}/get`, { ids: ["new-1", "new-2"], include: ["documents"] });
    if (got.ids.join() !== "new-1" || got.documents[0] !== "changed")
        problems.push(`what was written now is ${JSON.stringify(got)}`);
}

const problems = Object.fromEntries(Object.keys(truth).map((name) => [name, []]));

async function during(what, step) {
    const server = await start(script, version, store);
    try {
        for (const [name, wanted] of Object.entries(truth)) {
            try {
                await step(server, name, wanted, problems[name]);
            } catch (e) {
                problems[name].push(`${what}: ${e.message}`);
            }
        }
    } finally {
        await stop(server);
    }
}

try {
    await during("at the first start", async (server, name, wanted, found) => {
        const where = await look(server, name, wanted, found);
        if (!where)
            return;
        await query(server, where, wanted, found);
        await write(server, where, wanted);
        await wrote(server, where, found);
    });
    await during("at the second start", async (server, name, wanted, found) => {
        const where = await look(server, name, wanted, found);
        if (where)
            await wrote(server, where, found);
    });
} catch (e) {
    console.log(`not ok - ${e.message}`);
    process.exit(1);
}
for (const [name, found] of Object.entries(problems)) {
    console.log(`${found.length === 0 ? "ok" : "not ok"} - ${name}: ${Object.keys(truth[name].recs).length} records`);
    found.slice(0, 10).forEach((p) => console.log(`# ${p}`));
    if (found.length > 0)
        process.exitCode = 1;
}
