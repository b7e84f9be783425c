// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0
// Runs the page's script as a browser would: a document of its elements, and an authenticator
// that Node's own cryptography makes.   node passkey_browser.mjs PAGE_JS ORIGIN KEY_PEM

import crypto from "node:crypto";
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [script, origin, pem] = process.argv.slice(2);
if (!fs.existsSync(pem)) {
  const made = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  fs.writeFileSync(pem, made.privateKey.export({ type: "pkcs8", format: "pem" }));
}
const key = crypto.createPrivateKey(fs.readFileSync(pem));
const sha256 = (data) => crypto.createHash("sha256").update(data).digest();

const elements = {};
for (const id of ["title", "what", "text", "go", "said"]) {
  elements[id] = { textContent: "", listeners: [], addEventListener(_, f) { this.listeners.push(f); } };
}
globalThis.document = { getElementById: (id) => elements[id] };

const real = globalThis.fetch;
globalThis.fetch = (path, options = {}) =>
  real(`${origin}/${path}`, { ...options, headers: { ...options.headers, Origin: origin } });

const answer = (asked, type, flags) => {
  if (asked.userVerification !== "required" && asked.authenticatorSelection?.userVerification !== "required")
    throw new Error("the page does not ask for the user's verification");
  const challenge = Buffer.from(asked.challenge).toString("base64url");
  const client = Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
  const data = Buffer.concat([sha256(asked.rpId ?? asked.rp.id), Buffer.from([flags, 0, 0, 0, 9])]);
  return { client, data };
};
const credentials = {
  async get({ publicKey }) {
    const { client, data } = answer(publicKey, "webauthn.get", 5);
    const signed = Buffer.concat([data, sha256(client)]);
    return {
      response: {
        authenticatorData: data,
        clientDataJSON: client,
        signature: crypto.sign("sha256", signed, { key, dsaEncoding: "der" }),
      },
    };
  },
  async create({ publicKey }) {
    const { client, data } = answer(publicKey, "webauthn.create", 0x45);
    return {
      rawId: Buffer.from("a credential"),
      response: {
        clientDataJSON: client,
        getAuthenticatorData: () => data,
        getPublicKey: () => crypto.createPublicKey(key).export({ type: "spki", format: "der" }),
      },
    };
  },
};
Object.defineProperty(globalThis, "navigator", { value: { credentials } });

await import(pathToFileURL(script));
while (!elements.go.listeners.length && !elements.said.textContent) {
  await new Promise((done) => setTimeout(done, 10));
}
for (const listener of elements.go.listeners) await listener();
console.log(JSON.stringify({ text: elements.text.textContent, said: elements.said.textContent }));
