// SPDX-License-Identifier: Apache-2.0
//
// A loader for vsctl repair --prove: can the real Chroma server serve all of a store?
//
//     node prove.mjs SCRIPT VERSION STORE
//
// SCRIPT is scripts/real-chroma. Status 0 when the server starts on STORE, each collection of the default database
// counts what it lists, gives each record with its vector, and finds one by it. STORE is written to: give it a copy.

import { call, start, stop } from "./client.mjs";

const [script, version, store] = process.argv.slice(2);
const database = ["default_tenant", "default_database"];

const server = await start(script, version, store);
try {
    for (const { id, name } of await call(server, database, "")) {
        const got = await call(server, database, `/${id}/get`, { include: ["documents", "metadatas", "embeddings"] });
        const count = await call(server, database, `/${id}/count`);
        if (count !== got.ids.length)
            throw new Error(`${name} counts ${count} and lists ${got.ids.length}`);
        if (count > 0) {
            const found = await call(server, database, `/${id}/query`, { query_embeddings: [got.embeddings[0]], n_results: 1 });
            if (found.ids[0].length !== 1)
                throw new Error(`${name}: a search finds nothing`);
        }
        console.log(`${name}: ${count} records`);
    }
} catch (e) {
    console.error(e.message);
    process.exitCode = 1;
} finally {
    await stop(server);
}
