// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0
// A real issuer of OpenID Connect: npm's oidc-provider, with its own pages for login and consent.
// A line on standard input changes its key: it then publishes another and no more the one before.
// It ends with its standard input.
//   node issuer.mjs NODE_MODULES ALGORITHM GROUPS_JSON   prints its URL once it listens

import crypto from "node:crypto";
import http from "node:http";
import { pathToFileURL } from "node:url";

const [modules, algorithm, groups] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));
const kinds = {
  RS256: ["rsa", { modulusLength: 2048 }],
  PS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  Ed25519: ["ed25519", {}],
};
const members = JSON.parse(groups);

const made = (issuer) => {
  const { privateKey } = crypto.generateKeyPairSync(...kinds[algorithm]);
  const jwk = privateKey.export({ format: "jwk" });
  const key = { ...jwk, kid: crypto.randomUUID(), use: "sig", alg: algorithm };
  return new Provider(issuer, {
    clients: [
      {
        client_id: "bastide",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"],
        grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
        id_token_signed_response_alg: algorithm,
      },
    ],
    jwks: { keys: [key] },
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    claims: { openid: ["sub"], groups: ["groups"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { deviceFlow: { enabled: true } },
    findAccount: async (_, sub) => ({
      accountId: sub,
      claims: async () => ({ sub, groups: members[sub] ?? [] }),
    }),
  });
};

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on("request", made(issuer).callback());
  process.stdin.on("end", () => process.exit());
  process.stdin.on("data", () => {
    server.removeAllListeners("request");
    server.on("request", made(issuer).callback());
    console.log("changed");
  });
  console.log(issuer);
});
