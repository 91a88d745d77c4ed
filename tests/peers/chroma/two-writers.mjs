// SPDX-License-Identifier: Apache-2.0
//
// node two-writers.mjs SCRIPT VERSION DIRECTORY: two servers of that version write to one store at the same time
//
// Each adds records of its own, in turns, and saves its index over the other's. Leaves DIRECTORY/store, and what was
// written, acknowledged every time, in DIRECTORY/truth.json.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { call, start, stop } from "./client.mjs";

const [script, version, directory] = process.argv.slice(2);
const DIM = 8, ROUNDS = 20, BATCH = 7, SAVE = 20;
const database = ["default_tenant", "default_database"];
const store = join(directory, "store");

let seed = 7;
function random() {
    seed = (Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((seed >>> 0) + 0.5) / 4294967296;
}

mkdirSync(store, { recursive: true });
const recs = {};
const servers = [await start(script, version, store)];
try {
    const { id } = await call(servers[0], database, "", {
        name: "shared",
        configuration: { hnsw: { space: "l2", sync_threshold: SAVE, batch_size: SAVE / 2 } },
    });
    servers.push(await start(script, version, store));
    for (let i = 0; i < ROUNDS * servers.length; i++) {
        const ids = Array.from({ length: BATCH }, (_, k) => `${"ab"[i % 2]}${i}-${k}`);
        const embeddings = ids.map(() => Array.from({ length: DIM }, () => Math.fround(random())));
        const documents = ids.map((x) => `text of ${x}`);
        await call(servers[i % 2], database, `/${id}/add`, { ids, embeddings, documents });
        ids.forEach((x, k) => { recs[x] = { e: embeddings[k], d: documents[k], m: null }; });
    }
} finally {
    for (const server of servers)
        await stop(server);
}
writeFileSync(join(directory, "truth.json"), JSON.stringify({ shared: { space: "l2", recs } }));
