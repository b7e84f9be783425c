// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0
//
// Seals or opens one age file with the implementation of age in TypeScript. Run by
// tests/paths/test_age_interop.py from the folder where package.json was installed:
//
//   node age.mjs seal RECIPIENT... < data > file
//   node age.mjs open IDENTITY... < file > data
import * as age from "age-encryption";
import { readFileSync } from "node:fs";

const [what, ...keys] = process.argv.slice(2);
const given = new Uint8Array(readFileSync(0));
if (what === "seal") {
  const encrypter = new age.Encrypter();
  for (const key of keys) encrypter.addRecipient(key);
  process.stdout.write(await encrypter.encrypt(given));
} else {
  const decrypter = new age.Decrypter();
  for (const key of keys) decrypter.addIdentity(key);
  process.stdout.write(await decrypter.decrypt(given));
}
