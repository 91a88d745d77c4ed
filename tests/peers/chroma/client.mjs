// SPDX-License-Identifier: Apache-2.0
//
// A Chroma server as a child, and what is asked of it over HTTP. Nothing leaves the machine.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

// Each process asks its servers at an address of its own: of two tests at the same time none can be given a port that
// the other has just let go, and so ask the other's server.
const host = `127.${1 + ((process.pid >> 16) & 63)}.${(process.pid >> 8) & 255}.${process.pid & 255}`;

function freePort() {
    return new Promise((done) => {
        const s = createServer().listen(0, host, () => {
            const { port } = s.address();
            s.close(() => done(String(port)));
        });
    });
}

// scripts/real-chroma serve VERSION STORE PORT HOST, until it answers.
export async function start(script, version, store) {
    const port = await freePort();
    const child = spawn(script, ["serve", version, store, port, host], { stdio: ["ignore", "pipe", "pipe"] });
    const server = { child, base: `http://${host}:${port}/api/v2`, said: "" };
    const hear = (bytes) => { server.said = (server.said + bytes).slice(-2000); };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    const ended = new Promise((done) => child.on("exit", done));
    for (let i = 0; i < 300 && !hasEnded(server); i++) {
        try {
            if ((await fetch(`${server.base}/heartbeat`)).ok)
                return server;
        } catch {
            // not yet
        }
        await Promise.race([ended, new Promise((r) => setTimeout(r, 50))]);
    }
    child.kill("SIGKILL");
    throw new Error(`the server does not answer: ${server.said.slice(-400)}`);
}

function hasEnded(server) {
    return server.child.exitCode !== null || server.child.signalCode !== null;
}

export async function stop(server) {
    if (hasEnded(server))
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
    }).catch((e) => {
        const how = hasEnded(server) ? `it ended with ${server.child.exitCode ?? server.child.signalCode}` : e.cause ?? e;
        throw new Error(`${path}: no answer from the server, ${how}: ${server.said.slice(-400)}`);
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
