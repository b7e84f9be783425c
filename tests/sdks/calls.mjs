// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0
//
// Makes each call once with the official JavaScript SDKs, for their recording, as calls.py does. AWS's
// is not among them: it speaks HTTP/2 only, and what is kept are the bytes of HTTP/1.1.

import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const given = JSON.parse(process.argv[2]);
const { model, embedder } = given;
const texts = ["Hello wörld", "Good bye"];
const turn = [{ role: "user", content: "Hi" }];
const schema = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

// The usual calls; `ask` takes the address, what differs, whether to stream, and the key.
const variations = (ask, { brief, tools, forced, form, unsupported }) => ({
  "chat": (url) => ask(url, brief),
  "stream": (url) => ask(url, brief, true),
  "tools": (url) => ask(url, tools),
  "tools in a stream": (url) => ask(url, { ...tools, ...forced }, true),
  "schema": (url) => ask(url, form),
  "an unknown key": (url) => ask(url, {}, false, given.bad_key),
  "an unknown model": (url) => ask(url, { model: "nope" }),
  "what is not supported": (url) => ask(url, unsupported),
  "broken stream": (url) => ask(url, {}, true),
});

async function read(made, stream) {
  if (stream) for await (const piece of made) void piece;
}

const openaiClient = (url, apiKey = given.key) =>
  new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries: 0 });
const anthropicClient = (url, apiKey = given.key) =>
  new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const googleModels = (url, apiKey = given.key) =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } }).models;

async function openai(url, more, stream = false, key) {
  const { completions } = openaiClient(url, key).chat;
  await read(await completions.create({ model, messages: turn, stream, ...more }), stream);
}

async function anthropic(url, more, stream = false, key) {
  const { messages } = anthropicClient(url, key);
  await read(await messages.create({ model, messages: turn, max_tokens: 64, stream, ...more }), stream);
}

async function google(url, { model: other, ...config }, stream = false, key) {
  const models = googleModels(url, key);
  const asked = { model: other ?? model, contents: "Hi", config };
  await read(await (stream ? models.generateContentStream(asked) : models.generateContent(asked)), stream);
}

const asked = { model, input: "Hi", max_output_tokens: 3 };
const openaiMore = {
  "responses": (url) => openaiClient(url).responses.create(asked),
  "responses in a stream": async (url) =>
    read(await openaiClient(url).responses.create({ ...asked, stream: true }), true),
  "embeddings": (url) => openaiClient(url).embeddings.create({ model: embedder, input: texts }),
  "models": (url) => openaiClient(url).models.list(),
};

const anthropicMore = {
  "count": (url) => anthropicClient(url).messages.countTokens({ model, messages: turn }),
  "models": (url) => anthropicClient(url).models.list(),
  "model": (url) => anthropicClient(url).models.retrieve(model),
};

const googleMore = {
  "count": (url) => googleModels(url).countTokens({ model, contents: "Hi" }),
  "embeddings": (url) => googleModels(url).embedContent({ model: embedder, contents: texts }),
  "models": async (url) => read(await googleModels(url).list(), true),
  "model": (url) => googleModels(url).get({ model }),
};

const weather = { name: "weather", description: "Weather of a city." };
const sdks = {
  openai: ["openai", { ...variations(openai, {
    brief: { max_completion_tokens: 3, seed: 7 },
    tools: { tools: [{ type: "function", function: { ...weather, parameters: schema } }] },
    forced: { tool_choice: "required" },
    form: { response_format: { type: "json_schema", json_schema: { name: "trip", schema } } },
    unsupported: { n: 2 },
  }), ...openaiMore }],
  anthropic: ["@anthropic-ai/sdk", { ...variations(anthropic, {
    brief: { max_tokens: 3, system: "Be brief." },
    tools: { tools: [{ ...weather, input_schema: schema }] },
    forced: { tool_choice: { type: "any" } },
    form: { output_config: { format: { type: "json_schema", schema } } },
    unsupported: { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2048 },
  }), ...anthropicMore }],
  google: ["@google/genai", { ...variations(google, {
    brief: { maxOutputTokens: 3, seed: 7 },
    tools: { tools: [{ functionDeclarations: [{ ...weather, parametersJsonSchema: schema }] }] },
    forced: { toolConfig: { functionCallingConfig: { mode: "ANY" } } },
    form: { responseMimeType: "application/json", responseJsonSchema: schema },
    unsupported: { candidateCount: 2 },
  }), ...googleMore }],
};

const calls = {}, versions = {}, raised = {};
for (const [sdk, [name, made]] of Object.entries(sdks)) {
  versions[sdk] = `${name} ${JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version}`;
  for (const [call, deed] of Object.entries(made)) calls[`${sdk} ${call}`] = deed;
}
for (const [name, url] of Object.entries(given.calls ?? {})) {
  try {
    await calls[name](url);
  } catch (error) {
    raised[name] = error.constructor.name;
  }
}
console.log(JSON.stringify({ names: Object.keys(calls), versions, raised }));
process.exit(0);
