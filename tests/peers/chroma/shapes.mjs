// SPDX-License-Identifier: Apache-2.0
//
// Sound stores of many shapes, by the real server.
//
//     node shapes.mjs SCRIPT VERSION DIRECTORY [SHAPE...]
//
// For each shape the server makes DIRECTORY/SHAPE/store, is killed, and DIRECTORY/SHAPE/truth.json says what a client
// has to get back: a list of collections in the form that repaired.mjs reads. Without names, all shapes that VERSION
// can make. The same every time, but for what the server itself leaves to chance (ids of collections, the graph).

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { call, request, start, stop } from "./client.mjs";

const [script, version, directory, ...wanted] = process.argv.slice(2);
const newer = version === "1.3.4";

let seed = 1;
function random() {
    seed = (Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((seed >>> 0) + 0.5) / 4294967296;
}

const vector = (dim) => Array.from({ length: dim }, () => Math.fround(2 * random() - 1));

// A server on a new store, and what was written to it.
class World {
    constructor(store) {
        this.store = store;
        this.collections = [];
    }

    async up() {
        this.server = await start(script, version, this.store);
    }

    async down() {
        await stop(this.server);
    }

    async again() {
        await this.down();
        await this.up();
    }

    // The store as it is now, beside what it will be: for files that are older than the others.
    async keep(name) {
        await this.down();
        cpSync(this.store, join(this.store, "..", name), { recursive: true });
        await this.up();
    }

    async make(name, { space = "l2", dim = 8, tenant = "default_tenant", database = "default_database", metadata, ...hnsw } = {}) {
        const at = [tenant, database];
        const made = await call(this.server, at, "", { name, metadata, configuration: { hnsw: { space, ...hnsw } } });
        const c = { name, tenant, database, space, dim, id: made.id, at, recs: {} };
        this.collections.push(c);
        return c;
    }

    async ask(c, path, body) {
        return call(this.server, c.at, `/${c.id}${path}`, body);
    }

    // @records: [id, {e, d, m}]; what is undefined is not sent.
    async put(how, c, records, uris) {
        const column = (of) => (records.some((r) => of(r[1]) !== undefined) ? records.map((r) => of(r[1]) ?? null) : undefined);
        await this.ask(c, `/${how}`, {
            ids: records.map((r) => r[0]), embeddings: column((r) => r.e), documents: column((r) => r.d), metadatas: column((r) => r.m), uris,
        });
        for (const [id, r] of records) {
            const old = how === "add" ? undefined : c.recs[id];
            if (how === "update" && !old)
                continue;
            const m = { ...old?.m, ...r.m };
            for (const key of Object.keys(m))
                if (m[key] === null)
                    delete m[key];
            c.recs[id] = { e: r.e ?? old?.e, d: r.d ?? old?.d ?? null, m };
        }
    }

    async fill(c, from, to, what = (i) => ({ d: `text ${i} of ${c.name}`, m: { n: i } })) {
        const part = 250;
        for (let i = from; i < to; i += part)
            await this.put("add", c, Array.from({ length: Math.min(part, to - i) }, (_, k) => [`r${i + k}`, { e: vector(c.dim), ...what(i + k) }]));
    }

    async remove(c, ids) {
        await this.ask(c, "/delete", { ids });
        ids.forEach((id) => delete c.recs[id]);
    }

    async drop(c) {
        await request(this.server, "DELETE", c.at, `/${c.name}`);
        this.collections = this.collections.filter((x) => x !== c);
    }

    async modify(c, body) {
        await request(this.server, "PUT", c.at, `/${c.id}`, body);
        c.name = body.new_name ?? c.name;
    }

    async tenant(tenant, ...databases) {
        await request(this.server, "POST", null, "/tenants", { name: tenant });
        for (const name of databases)
            await request(this.server, "POST", null, `/tenants/${tenant}/databases`, { name });
    }

    truth() {
        return this.collections.map(({ at, ...c }) => c);
    }
}

const ODD_IDS = ["ü", "日本語のid", "🦊", " ", "a b\tc", "'; DROP TABLE embeddings; --", "\"quoted\"", "../../etc/passwd", "%_\\", "-1", "0", "null", "x".repeat(3000), "\u0000in\u0000side", "e\u0301", "\u00e9", "\u202eright", "\n"];
const ODD_TEXTS = ["", "a", "ab", "abc", " ", "\u0000", "a\u0000b", "日本", "日本語の文書です", "🦊🦊🦊🦊", "%%%", "'\"\\", "\u202e\u200b", "line\nline\r\n\ttab", "x".repeat(200000), "e\u0301\u0301\u0301"];

const shapes = {
    // One value to a vector.
    async narrow(w) {
        for (const space of ["l2", "ip", "cosine"])
            await w.fill(await w.make(`narrow-${space}`, { space, dim: 1, sync_threshold: 50, batch_size: 20 }), 0, 130);
    },

    async three(w) {
        for (const space of ["cosine", "l2", "ip"]) {
            const c = await w.make(`three-${space}`, { space, dim: 3, sync_threshold: 100, batch_size: 10 });
            await w.fill(c, 0, 99);
            await w.fill(c, 99, 260);
        }
    },

    async wide(w) {
        await w.fill(await w.make("wide-ip", { space: "ip", dim: 1024, sync_threshold: 60, batch_size: 10 }), 0, 150);
        await w.fill(await w.make("wide-cosine", { space: "cosine", dim: 1536 }), 0, 70);
        await w.fill(await w.make("wide-l2", { space: "l2", dim: 1536, sync_threshold: 20, batch_size: 10 }), 0, 45);
    },

    async odd_texts(w) {
        const c = await w.make("odd.texts_1", { space: "cosine", dim: 5, sync_threshold: 12, batch_size: 6 });
        await w.put("add", c, ODD_IDS.map((id, i) => [id, { e: vector(5), d: ODD_TEXTS[i % ODD_TEXTS.length], m: { [ODD_IDS[(i + 3) % ODD_IDS.length]]: ODD_TEXTS[(i + 7) % ODD_TEXTS.length] } }]));
        await w.put("upsert", c, ODD_TEXTS.map((d, i) => [`t${i}`, { e: vector(5), d, m: { d } }]));
        await w.put("update", c, ODD_IDS.slice(0, 5).map((id) => [id, { d: `now ${id}` }]));
        await w.remove(c, ODD_IDS.slice(5, 8));
    },

    // Records that lack what most have.
    async bare(w) {
        const none = await w.make("bare-all", { space: "l2", dim: 7, sync_threshold: 30, batch_size: 10 });
        await w.fill(none, 0, 80, () => ({}));
        const mixed = await w.make("bare-mixed", { space: "cosine", dim: 7, sync_threshold: 30, batch_size: 10 });
        await w.fill(mixed, 0, 80, (i) => ({ d: i % 3 === 0 ? `only every third ${i}` : undefined, m: i % 2 === 0 ? { even: true } : undefined }));
        await w.put("update", mixed, Array.from({ length: 20 }, (_, i) => [`r${i}`, { m: { even: null, later: i / 3 } }]));
        await w.put("upsert", mixed, Array.from({ length: 20 }, (_, i) => [`r${i + 60}`, { e: vector(7) }]));
    },

    async metadata(w) {
        const c = await w.make("metadata", { space: "l2", dim: 4, sync_threshold: 25, batch_size: 5, metadata: { purpose: "all types", n: 5, f: 0.25, b: false } });
        await w.fill(c, 0, 60, (i) => ({
            d: i % 5 ? `text ${i}` : undefined,
            m: { s: `v${i}`, i, big: 2 ** 53 - 1 - i, negative: -i, f: i + 0.5, tiny: 1e-300, huge: 1.7e308, t: i % 2 === 0, empty: "", " ": "a space", "a.b$c": 1, "chroma_like:key": "x" },
        }));
        await w.put("update", c, Array.from({ length: 30 }, (_, i) => [`r${2 * i}`, { m: { s: null, i: "now text", t: 1.25, added: true } }]));
    },

    // The newer server takes lists of one type.
    async arrays(w) {
        if (!newer)
            return false;
        const c = await w.make("arrays", { space: "cosine", dim: 4, sync_threshold: 25, batch_size: 5 });
        await w.fill(c, 0, 60, (i) => ({ d: `text ${i}`, m: { strings: ["a", "b", `c${i}`], ints: [1, 2, i], floats: [0.5, i + 0.25], bools: [true, false], same: ["x", "x"], one: [i], plain: i } }));
        await w.put("update", c, Array.from({ length: 10 }, (_, i) => [`r${i}`, { m: { strings: "now one", ints: null, plain: [1, 2, 3] } }]));
        await w.remove(c, ["r20", "r21", "r59"]);
        await w.fill(c, 60, 64);
    },

    async churn(w) {
        for (const space of ["l2", "cosine"]) {
            const c = await w.make(`churn-${space}`, { space, dim: 6, sync_threshold: 20, batch_size: 5 });
            await w.fill(c, 0, 60);
            for (let round = 0; round < 12; round++) {
                const ids = Object.keys(c.recs);
                const some = ids.filter(() => random() < 0.3);
                await w.put("update", c, some.map((id) => [id, { e: vector(6), d: `round ${round}` }]));
                await w.remove(c, ids.filter(() => random() < 0.25).concat(ids[0]));
                await w.put("upsert", c, Array.from({ length: 14 }, (_, i) => [`r${Math.floor(random() * 70)}-${i}`, { e: vector(6), m: { round } }]));
                if (round === 6)
                    await w.again();
            }
        }
    },

    // Emptied and filled anew; emptied for good; never filled.
    async emptied(w) {
        const again = await w.make("emptied-filled", { dim: 4, sync_threshold: 20, batch_size: 5 });
        await w.fill(again, 0, 50);
        await w.remove(again, Object.keys(again.recs));
        await w.again();
        await w.fill(again, 100, 130);
        const gone = await w.make("emptied", { space: "cosine", dim: 4, sync_threshold: 20, batch_size: 5 });
        await w.fill(gone, 0, 50);
        await w.remove(gone, Object.keys(gone.recs));
        const once = await w.make("emptied-queue-only", { dim: 4 });
        await w.fill(once, 0, 10);
        await w.remove(once, Object.keys(once.recs));
        await w.make("never", { space: "ip" });
        await w.make("never-metadata", { metadata: { a: 1 } });
    },

    async renamed(w) {
        const a = await w.make("first", { dim: 5, sync_threshold: 20, batch_size: 5 });
        const b = await w.make("second", { space: "cosine", dim: 9, sync_threshold: 20, batch_size: 5 });
        const gone = await w.make("third", { space: "ip", dim: 3, sync_threshold: 20, batch_size: 5 });
        for (const c of [a, b, gone])
            await w.fill(c, 0, 45);
        await w.modify(a, { new_name: "first-renamed", new_metadata: { changed: "yes", n: 2 } });
        await w.modify(b, { new_configuration: { hnsw: { ef_search: 33, num_threads: 1, resize_factor: 1.5, sync_threshold: 15, batch_size: 7 } } });
        await w.drop(gone);
        const reborn = await w.make("third", { space: "l2", dim: 6 });
        await w.fill(reborn, 0, 30);
        const took = await w.make("first", { space: "cosine", dim: 2, sync_threshold: 20, batch_size: 5 });
        await w.fill(took, 0, 30);
        await w.fill(a, 45, 70);
        await w.fill(b, 45, 70);
    },

    async tenants(w) {
        await w.tenant("acme", "one", "two");
        await w.tenant("ünïcode-tenant", "of-unicode");
        for (const [tenant, database] of [["acme", "one"], ["acme", "two"], ["ünïcode-tenant", "of-unicode"], ["default_tenant", "default_database"]])
            await w.fill(await w.make("same-name", { tenant, database, dim: 4, sync_threshold: 20, batch_size: 5 }), 0, 30, (i) => ({ d: `${tenant} ${database} ${i}`, m: { tenant } }));
    },

    async parameters(w) {
        const all = [
            ["few", { max_neighbors: 2, ef_construction: 4, ef_search: 3 }], ["many", { max_neighbors: 64, ef_construction: 200, ef_search: 500 }],
            ["low", { max_neighbors: 32, ef_construction: 5 }], ["grows", { resize_factor: 1.05, num_threads: 1 }], ["eager", { sync_threshold: 2, batch_size: 2 }],
        ];
        for (const [name, hnsw] of all) {
            const c = await w.make(`parameters-${name}`, { dim: 10, sync_threshold: 100, batch_size: 50, ...hnsw });
            await w.fill(c, 0, 320);
            c.is_rough = name === "few"; // two neighbours: its searches miss most
        }
    },

    // Vectors that are all the same, all zero, or so large and so small that their squares are neither.
    async degenerate(w) {
        const at = (name, o) => w.make(`degenerate-${name}`, { dim: 6, sync_threshold: 50, batch_size: 20, ...o });
        const put = (c, n, e) => w.put("add", c, Array.from({ length: n }, (_, i) => [`r${i}`, { e: e(i), d: `text ${i}` }]));
        for (const space of ["l2", "cosine", "ip"]) {
            await put(await at(`same-${space}`, { space }), 220, () => [1, 2, 3, 4, 5, 6]);
            await put(await at(`few-${space}`, { space }), 220, (i) => [i % 3, 1, 2, 3, 4, 5]);
            await put(await at(`line-${space}`, { space }), 220, (i) => [i + 1, 0, 0, 0, 0, 0]);
        }
        await put(await at("zero-l2"), 120, () => [0, 0, 0, 0, 0, 0]);
        await put(await at("zero-cosine", { space: "cosine" }), 120, (i) => (i % 4 ? vector(6) : [0, 0, 0, 0, 0, 0]));
        await put(await at("large"), 120, () => vector(6).map((x) => Math.fround(x * 1e18)));
        await put(await at("small", { space: "cosine" }), 120, () => vector(6).map((x) => Math.fround(x * 1e-15)));
    },

    async large(w) {
        const c = await w.make("large", { space: "l2", dim: 32 });
        await w.fill(c, 0, 5000);
        await w.remove(c, Array.from({ length: 700 }, (_, i) => `r${7 * i}`));
        await w.fill(c, 5000, 5400);
    },

    // Killed while several clients write, some of it over the threshold; only what was answered is known.
    async killed(w) {
        const some = [];
        for (const name of ["killed-a", "killed-b", "killed-c"])
            some.push(await w.make(name, { space: "l2", dim: 16, sync_threshold: 40, batch_size: 10 }));
        const working = some.map(async (c) => {
            for (let i = 0; i < 4000; i += 25)
                await w.fill(c, i, i + 25);
        }).map((p) => p.catch(() => {}));
        await new Promise((r) => setTimeout(r, 900));
        await w.down();
        await Promise.all(working);
        some.forEach((c) => (c.at_least = true));
    },

    // Some of everything, in one store, with a copy of it from the middle of its life.
    async mixed(w) {
        await w.tenant("acme", "one");
        const rich = (i) => ({ d: `${i} ${"a text that is long enough to fill pages, ü 日本 ".repeat(1 + (i % 5))}`, m: { n: i, f: i + 0.25, s: `v${i % 7}`, b: i % 2 === 0, ...(newer && i % 3 === 0 ? { list: [i, i + 1], words: ["a", `w${i}`] } : {}) } });
        const gone = await w.make("dropped", { dim: 7, sync_threshold: 10, batch_size: 5 });
        const alpha = await w.make("alpha", { space: "cosine", dim: 12, max_neighbors: 8, ef_construction: 40, sync_threshold: 40, batch_size: 10, metadata: { purpose: "first", n: 3 } });
        const beta = await w.make("beta", { dim: 5, sync_threshold: 30, batch_size: 6, resize_factor: 1.3 });
        const gamma = await w.make("gamma", { space: "ip", dim: 3 });
        const delta = await w.make("delta", { dim: 400, max_neighbors: 32, sync_threshold: 20, batch_size: 5, tenant: "acme", database: "one" });
        const emptied = await w.make("emptied", { dim: 4, sync_threshold: 10, batch_size: 5 });
        await w.make("never");
        await w.fill(gone, 0, 30);
        await w.fill(alpha, 0, 90, rich);
        await w.fill(beta, 0, 66, (i) => (i % 4 ? { d: `beta ${i}`, m: { n: i } } : {}));
        await w.fill(gamma, 0, 6, rich);
        await w.fill(delta, 0, 30);
        await w.fill(emptied, 0, 20);
        await w.drop(gone);
        await w.keep("earlier");
        await w.put("update", alpha, Array.from({ length: 25 }, (_, i) => [`r${3 * i}`, i % 2 ? { e: vector(12), d: `now ${i}` } : { m: { n: null, later: i } }]));
        await w.remove(alpha, ["r1", "r2", "r50", "r89"]);
        await w.fill(alpha, 90, 131, rich);
        await w.put("add", alpha, [["r2", { e: vector(12), d: "again" }]]);
        await w.remove(beta, Array.from({ length: 12 }, (_, i) => `r${5 * i}`));
        await w.fill(beta, 66, 100);
        await w.put("upsert", beta, Array.from({ length: 9 }, (_, i) => [`r${i * 13}`, { e: vector(5), d: `put ${i}` }]));
        await w.fill(gamma, 6, 11, rich);
        await w.fill(delta, 30, 53);
        await w.remove(emptied, Object.keys(emptied.recs));
        await w.put("update", alpha, [["r5", { d: "last words" }]]);
        await w.remove(alpha, ["r7", "r130"]);
    },

    // A web address for each record, and queue rows of all four operations left over.
    async uris(w) {
        const c = await w.make("uris", { space: "ip", dim: 4, sync_threshold: 40, batch_size: 10 });
        const records = Array.from({ length: 30 }, (_, i) => [`r${i}`, { e: vector(4), d: i % 2 ? `text ${i}` : undefined, m: { i } }]);
        await w.put("add", c, records, records.map((r, i) => (i % 3 ? `https://example.org/${i}` : null)));
        await w.put("upsert", c, records.slice(0, 8).map(([id]) => [id, { e: vector(4), d: "upserted" }]));
        await w.put("update", c, records.slice(5, 12).map(([id]) => [id, { m: { i: "text" } }]));
        await w.remove(c, ["r3", "r29"]);
        await w.put("update", c, [["no-such-record", { d: "nobody" }]]);
        await w.ask(c, "/delete", { ids: ["no-such-record"] });
        await w.put("add", c, [["r3", { e: vector(4), d: "again" }]]);
    },
};

for (const [name, shape] of Object.entries(shapes)) {
    if (wanted.length > 0 && !wanted.includes(name))
        continue;
    const at = join(directory, name);
    mkdirSync(join(at, "store"), { recursive: true });
    const world = new World(join(at, "store"));
    seed = 20261121 + name.length;
    await world.up();
    const made = await shape(world).catch((e) => {
        console.log(`${name}: ${e.stack}`);
        process.exitCode = 1;
    });
    await world.down().catch(() => {});
    if (made !== false)
        writeFileSync(join(at, "truth.json"), JSON.stringify(world.truth()));
    console.log(name, made === false ? "not with this version" : `${world.collections.length} collections`);
}
