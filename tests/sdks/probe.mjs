// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0
//
// Asks a gateway with the official JavaScript SDKs and prints what each got, as probe.py does.
// Run by tests/paths/test_javascript_sdks.py from the folder where package.json was installed.

import Anthropic from "@anthropic-ai/sdk";
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand }
  from "@aws-sdk/client-bedrock-runtime";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const given = JSON.parse(process.argv[2]);
const question = "Which town has a wall?";
const turn = [{ role: "user", content: question }];
const schema = { type: "object", properties: { town: { type: "string" } }, required: ["town"] };

async function raised(deed) {
  try {
    await deed();
  } catch (error) {
    return error.$metadata ? error.name : error.constructor.name; // AWS's have only names
  }
  return null;
}

async function openai() {
  const client = (apiKey) => new OpenAI({ baseURL: given.url + "/v1", apiKey, maxRetries: 0 });
  const chat = client(given.key).chat.completions;
  const asked = { model: given.model, messages: turn, max_tokens: 8 };
  const whole = await chat.create(asked);
  let stream = "";
  for await (const piece of await chat.create({ ...asked, stream: true }))
    stream += piece.choices[0]?.delta.content ?? "";
  const tool = { type: "function", function: { name: "find_town", parameters: schema } };
  const called = await chat.create({ ...asked, max_tokens: 64, tools: [tool], tool_choice: "required" });
  const [call] = called.choices[0].message.tool_calls;
  return {
    whole: whole.choices[0].message.content,
    stream,
    usage: whole.usage.completion_tokens,
    tool: [call.function.name, Object.keys(JSON.parse(call.function.arguments))],
    bad_key: await raised(() => client(given.bad_key).models.list()),
    bad_model: await raised(() => chat.create({ ...asked, model: "nobody" })),
  };
}

async function anthropic() {
  const client = (apiKey) => new Anthropic({ baseURL: given.url, apiKey, maxRetries: 0 });
  const messages = client(given.key).messages;
  const asked = { model: given.model, messages: turn, max_tokens: 8 };
  const whole = await messages.create(asked);
  const tool = { name: "find_town", input_schema: schema };
  const called = await messages.create({ ...asked, max_tokens: 64, tools: [tool], tool_choice: { type: "any" } });
  const use = called.content.at(-1);
  return {
    whole: whole.content[0].text,
    stream: await messages.stream(asked).finalText(),
    tool: [use.name, Object.keys(use.input)],
    bad_key: await raised(() => client(given.bad_key).messages.create(asked)),
    bad_model: await raised(() => messages.create({ ...asked, model: "nobody" })),
  };
}

async function google() {
  const client = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: given.url } });
  const models = client(given.key).models;
  const asked = { model: given.model, contents: question, config: { maxOutputTokens: 8 } };
  const whole = await models.generateContent(asked);
  let stream = "";
  for await (const piece of await models.generateContentStream(asked)) stream += piece.text ?? "";
  const declared = { name: "find_town", parametersJsonSchema: schema };
  const called = await models.generateContent({
    ...asked,
    config: {
      maxOutputTokens: 64, tools: [{ functionDeclarations: [declared] }],
      toolConfig: { functionCallingConfig: { mode: "ANY" } },
    },
  });
  const [call] = called.functionCalls;
  const parsed = await models.generateContent({
    ...asked,
    config: { maxOutputTokens: 64, responseMimeType: "application/json", responseJsonSchema: schema },
  });
  return {
    whole: whole.text,
    stream,
    tool: [call.name, Object.keys(call.args)],
    parsed: Object.keys(JSON.parse(parsed.text))[0] === "town" ? "wall" : parsed.text,
    bad_key: await raised(() => client(given.bad_key).models.generateContent(asked)),
    bad_model: await raised(() => models.generateContent({ ...asked, model: "nobody" })),
  };
}

async function aws() {
  const client = (secretAccessKey) => new BedrockRuntimeClient({
    region: "eu-central-1", endpoint: given.url, maxAttempts: 1,
    credentials: { accessKeyId: given.pair[0], secretAccessKey },
  });
  const runtime = client(given.pair[1]);
  const asked = {
    modelId: given.model,
    messages: [{ role: "user", content: [{ text: question }] }],
    inferenceConfig: { maxTokens: 8 },
  };
  const whole = await runtime.send(new ConverseCommand(asked));
  const rows = await runtime.send(new ConverseStreamCommand(asked));
  let stream = "";
  for await (const row of rows.stream) stream += row.contentBlockDelta?.delta.text ?? "";
  const toolSpec = { name: "find_town", inputSchema: { json: schema } };
  const called = await runtime.send(new ConverseCommand({
    ...asked, inferenceConfig: { maxTokens: 64 },
    toolConfig: { tools: [{ toolSpec }], toolChoice: { any: {} } },
  }));
  const { toolUse } = called.output.message.content.at(-1);
  const bad = (secret, change) => raised(
    () => client(secret).send(new ConverseCommand({ ...asked, ...change })));
  return {
    whole: whole.output.message.content[0].text,
    stream,
    usage: whole.usage.outputTokens,
    tool: [toolUse.name, Object.keys(toolUse.input)],
    bad_key: await bad("x".repeat(40), {}),
    bad_model: await bad(given.pair[1], { modelId: "nobody" }),
  };
}

const found = {};
for (const [name, probe] of Object.entries({ openai, anthropic, google, aws }))
  found[name] = await probe();
console.log(JSON.stringify(found));
process.exit(0);
