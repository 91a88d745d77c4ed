// SPDX-License-Identifier: Apache-2.0
//
// Does the real Chroma server live with what was repaired?
//
//     node repaired.mjs SCRIPT VERSION TRUTH STORE REPORT...
//
// SCRIPT is scripts/real-chroma, TRUTH what a client wrote: a list of collections with name, tenant, database, space
// and records (e: embedding, d: document, m: metadata), or an object of them by name. The server starts on STORE;
// counts agree; each record comes back as it was written, but for what the REPORTs of repair, index rebuild and
// salvage call incomplete: those have no vector, or one that has lost its length, or not all that they had, and
// nothing that they never had; a query finds a record by its own vector; adding, updating and deleting work; all of
// that is still so after another start. One line of TAP a collection.

import { readFileSync } from "node:fs";
import { call, start, stop } from "./client.mjs";

const [script, version, truthFile, store, ...reports] = process.argv.slice(2);
const written = JSON.parse(readFileSync(truthFile));
const truth = Array.isArray(written) ? written : Object.entries(written).map(([name, c]) => ({ name, ...c }));

// "collection id/record id" -> "vector" or "length", or what salvage says of it
const incomplete = new Map(), partly = new Map(), gone = new Set();
const idOf = (r) => (r.id_hex ? Buffer.from(r.id_hex, "hex").toString() : r.id); // with a NUL inside, as bytes
let hasQueue = true; // what an index had not yet taken in is gone with the queue
for (const report of reports.map((file) => JSON.parse(readFileSync(file)))) {
    for (const r of report.incomplete ?? [])
        incomplete.set(`${r.collection}/${idOf(r)}`, r.missing);
    hasQueue &&= !(report.salvage?.notes ?? []).some((note) => JSON.stringify(note).includes("write queue is lost"));
    for (const r of report.salvage?.records ?? []) {
        const key = `${r.collection_id}/${idOf(r)}`;
        if (r.status === "lost")
            gone.add(key);
        else if (r.status === "partly")
            partly.set(key, r.missing);
        if (/\bvector\b/.test(r.missing ?? "") && !/all but its vector/.test(r.missing))
            incomplete.set(key, "vector");
    }
}

// Values of metadata come back one unit in the last place off; cosine vectors are kept with their length apart.
function near(a, b, tolerance) {
    return a === b || (typeof a === "number" && typeof b === "number" && Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b)));
}

function sameValue(a, b) {
    return Array.isArray(a) ? Array.isArray(b) && a.length === b.length && a.every((x, i) => near(x, b[i], 1e-12)) : near(a, b, 1e-12);
}

// With @said, by what is missing: all that is there was written like that, and what is not is said to be missing.
function sameMetadata(a, b, said) {
    const left = a ?? {}, right = b ?? {};
    const missing = (key) => said !== undefined && (said.includes(`metadata ${key}`) || /cannot be told|all but its vector|does not say/.test(said));
    return Object.entries(left).every(([k, v]) => (k in right ? sameValue(v, right[k]) : missing(k))) && Object.keys(right).every((k) => k in left);
}

function sameText(a, b, said) {
    return (a ?? null) === (b ?? null) || (b === null && said !== undefined && /document|all but its vector|does not say/.test(said));
}

function unit(a) {
    const size = Math.sqrt(a.reduce((s, x) => s + x * x, 0));
    return a.map((x) => x / size);
}

function sameDirection(a, b) {
    return sameVector(a, b) || sameVector(unit(a), unit(b));
}

function sameVector(a, b) {
    const size = Math.sqrt(a.reduce((s, x) => s + x * x, 0));
    return b && a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) <= 2e-6 * size);
}

async function look(server, wanted, problems) {
    const database = [wanted.tenant ?? "default_tenant", wanted.database ?? "default_database"];
    const all = await call(server, database, "");
    const id = all.find((c) => c.name === wanted.name)?.id;
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
        const missing = incomplete.get(`${id}/${key}`), said = partly.get(`${id}/${key}`);
        at.delete(key);
        if (i === undefined && gone.has(`${id}/${key}`))
            continue;
        if (i === undefined)
            problems.push(`${key} is not there`);
        else if (!sameText(r.d, got.documents[i], said))
            problems.push(`${key} has another text`);
        else if (!sameMetadata(r.m, got.metadatas[i], said))
            problems.push(`${key} has other metadata: ${JSON.stringify(got.metadatas[i])}`);
        else if (missing === "length" && !(vectorOf.has(key) && sameVector(unit(r.e), unit(vectorOf.get(key)))))
            problems.push(`${key} has another direction`);
        else if (!missing && !sameVector(r.e, vectorOf.get(key)) && (hasQueue || said === undefined))
            problems.push(`${key} has another vector`);
    }
    for (const key of at.keys())
        if (!key.startsWith("new-") && !wanted.at_least)
            problems.push(`${key} is there, and was never written`);
    const count = await call(server, database, `/${id}/count`);
    if (count !== got.ids.length)
        problems.push(`counts ${count}, and gives ${got.ids.length}`);
    return { database, id };
}

// Filters: by text, by metadata.
async function filter(server, where, wanted, problems) {
    const recs = Object.entries(wanted.recs).filter(([key]) => !partly.has(`${where.id}/${key}`) && !gone.has(`${where.id}/${key}`));
    const ask = async (key, what, body) => {
        const found = await call(server, where.database, `/${where.id}/get`, { ...body, include: [] });
        if (!found.ids.includes(key))
            problems.push(`${key} is not found by its ${what}`);
    };
    for (const [key, r] of recs.filter(([, r]) => r.d && r.d.length > 3 && r.d.length < 1000 && !/[%_\\\0]/.test(r.d)).slice(0, 40))
        await ask(key, "text", { where_document: { $contains: r.d } });
    for (const [key, r] of recs.slice(0, 40)) {
        const [name, value] = Object.entries(r.m ?? {}).find(([, v]) => typeof v !== "object" && !Number.isNaN(v)) ?? [];
        if (name && (typeof value !== "number" || Number.isInteger(value)) && !name.startsWith("$"))
            await ask(key, `metadata ${name}`, { where: { [name]: { $eq: value } } });
    }
}

async function query(server, where, wanted, problems) {
    const recs = Object.entries(wanted.recs).filter(([key]) => !incomplete.has(`${where.id}/${key}`) && (hasQueue || !partly.has(`${where.id}/${key}`)));
    for (const [key, r] of recs.slice(0, 5)) {
        const n = Math.min(10, recs.length);
        const found = await call(server, where.database, `/${where.id}/query`, { query_embeddings: [r.e], n_results: n, include: ["distances"] });
        // By inner product another may be nearer than the vector itself, and of many that are alike any ten are.
        const alike = recs.filter(([, other]) => sameDirection(other.e, r.e)).length;
        if (wanted.space !== "ip" && !wanted.is_rough && alike < n && !found.ids[0].includes(key))
            problems.push(`${key} is not found by its own vector`);
    }
}

const one = (wanted) => Object.values(wanted.recs)[0]?.e ?? Array(wanted.dim ?? 3).fill(0.5);

async function write(server, where, wanted) {
    const e = one(wanted);
    await call(server, where.database, `/${where.id}/add`, { ids: ["new-1", "new-2"], embeddings: [e, e], documents: ["first", "second"] });
    await call(server, where.database, `/${where.id}/update`, { ids: ["new-1"], documents: ["changed"], embeddings: [e.map((x) => -x)] });
    await call(server, where.database, `/${where.id}/delete`, { ids: ["new-2"] });
}

async function wrote(server, where, wanted, problems) {
    const got = await call(server, where.database, `/${where.id}/get`, { ids: ["new-1", "new-2"], include: ["documents", "embeddings"] });
    const e = one(wanted);
    if (got.ids.join() !== "new-1" || got.documents[0] !== "changed" || !sameVector(e.map((x) => -x), got.embeddings[0]))
        problems.push(`what was written now is ${JSON.stringify(got)}`);
}

const problems = new Map(truth.map((wanted) => [wanted, []]));

async function during(what, step) {
    const server = await start(script, version, store);
    try {
        for (const [wanted, found] of problems) {
            try {
                await step(server, wanted, found);
            } catch (e) {
                found.push(`${what}: ${e.message}`);
            }
        }
    } finally {
        await stop(server);
    }
}

try {
    await during("at the first start", async (server, wanted, found) => {
        const where = await look(server, wanted, found);
        if (!where)
            return;
        await query(server, where, wanted, found);
        await filter(server, where, wanted, found);
        await write(server, where, wanted);
        await wrote(server, where, wanted, found);
    });
    await during("at the second start", async (server, wanted, found) => {
        const where = await look(server, wanted, found);
        if (where)
            await wrote(server, where, wanted, found);
    });
} catch (e) {
    console.log(`not ok - ${e.message}`);
    process.exit(1);
}
for (const [wanted, found] of problems) {
    console.log(`${found.length === 0 ? "ok" : "not ok"} - ${wanted.name}: ${Object.keys(wanted.recs).length} records`);
    found.slice(0, 10).forEach((p) => console.log(`# ${p}`));
    if (found.length > 0)
        process.exitCode = 1;
}
