// SPDX-License-Identifier: Apache-2.0
//
// A Chroma server as a child, and what is asked of it over HTTP. Nothing leaves the machine.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

function freePort() {
    return new Promise((done) => {
        const s = createServer().listen(0, "127.0.0.1", () => {
            const { port } = s.address();
            s.close(() => done(String(port)));
        });
    });
}

// scripts/real-chroma serve VERSION STORE PORT, until it answers.
export async function start(script, version, store) {
    const port = await freePort();
    const child = spawn(script, ["serve", version, store, port], { stdio: ["ignore", "pipe", "pipe"] });
    const base = `http://127.0.0.1:${port}/api/v2`;
    let said = "", ended = false;
    child.stdout.on("data", (bytes) => { said = (said + bytes).slice(-2000); });
    child.stderr.on("data", (bytes) => { said = (said + bytes).slice(-2000); });
    child.on("exit", () => { ended = true; });
    for (let i = 0; i < 300 && !ended; i++) {
        try {
            if ((await fetch(`${base}/heartbeat`)).ok)
                return { child, base };
        } catch {
            // not yet
        }
        await new Promise((r) => setTimeout(r, 50));
    }
    child.kill("SIGKILL");
    throw new Error(`the server does not answer: ${said.slice(-400)}`);
}

export async function stop(server) {
    if (server.child.exitCode !== null || server.child.signalCode !== null)
        return;
    const ended = new Promise((done) => server.child.on("exit", done));
    server.child.kill("SIGKILL");
    await ended;
}

// @method on a path below the collections of @database, [tenant, name], or below nothing when there is none.
export async function request(server, method, database, path, body) {
    const place = database ? `/tenants/${encodeURIComponent(database[0])}/databases/${encodeURIComponent(database[1])}/collections` : "";
    const response = await fetch(server.base + (place ? place + path : encodeURI(path)), {
        method,
        headers: { "content-type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok)
        throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`);
    return text ? JSON.parse(text) : null;
}

// POST @body to a path below the collections of a database, or GET when there is none.
export async function call(server, database, path, body) {
    return request(server, body === undefined ? "GET" : "POST", database, path, body);
}
