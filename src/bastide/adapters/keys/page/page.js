// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0
// Asks the browser for one signature, or for one new passkey, and hands the answer back.

const show = (id, text) => { document.getElementById(id).textContent = text; };

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

const text = (buffer) => {
  const packed = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(packed).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

// DSSE: "DSSEv1 <length> <type> <length> <payload>". What is shown is what the challenge hashes.
const payload = (message) => {
  const found = /^DSSEv1 \d+ application\/vnd\.(?:in-toto|bastide\.presence)\+json \d+ /.exec(message);
  if (!found) throw new Error("this is not a statement");
  return JSON.stringify(JSON.parse(message.slice(found[0].length)), null, 2);
};

async function sign(task) {
  const message = bytes(task.message);
  show("text", payload(new TextDecoder("utf-8", { fatal: true }).decode(message)));
  const challenge = await crypto.subtle.digest("SHA-256", message);
  return async () => {
    const made = await navigator.credentials.get({
      publicKey: {
        challenge,
        rpId: task.site,
        userVerification: "required",
        allowCredentials: [{ type: "public-key", id: bytes(task.credential) }],
      },
    });
    return {
      authenticatorData: text(made.response.authenticatorData),
      clientDataJSON: text(made.response.clientDataJSON),
      signature: text(made.response.signature),
    };
  };
}

async function make(task) {
  show("title", "Make a passkey");
  show("what", "Your device keeps the passkey under the name below.");
  show("go", "Make my passkey");
  show("text", task.name);
  return async () => {
    const made = await navigator.credentials.create({
      publicKey: {
        challenge: bytes(task.challenge),
        rp: { id: task.site, name: "Bastide" },
        user: { id: bytes(task.user), name: task.name, displayName: task.name },
        pubKeyCredParams: [-7, -8].map((alg) => ({ type: "public-key", alg })),
        authenticatorSelection: { userVerification: "required" },
        attestation: "none",
      },
    });
    return {
      authenticatorData: text(made.response.getAuthenticatorData()),
      clientDataJSON: text(made.response.clientDataJSON),
      publicKey: text(made.response.getPublicKey()),
      credential: text(made.rawId),
    };
  };
}

async function begin() {
  const task = await (await fetch("task")).json();
  const ask = await (task.deed === "sign" ? sign : make)(task);
  const button = document.getElementById("go");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const answer = await fetch("answer", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(await ask()),
      });
      if (!answer.ok) throw new Error(await answer.text());
      show("said", "Done. You can close this page and go back to your terminal.");
    } catch (error) {
      show("said", `Not done: ${error.message}`);
      button.disabled = false;
    }
  });
  button.disabled = false;
}

begin().catch((error) => show("said", `Not possible: ${error.message}`));
