import { readFileSync, readdirSync } from "node:fs";
import { schemas as asyncApiSchemas } from "@asyncapi/specs";
import { parsePrefix } from "@packetwatch/net";
import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as contracts from "../index.ts";
import { alertSubject, subjects, verdictSubject } from "../index.ts";
import { withMember } from "../testing/json-message.ts";
import { type createAsyncApi, kvBuckets, renderAsyncApi } from "./asyncapi.ts";
import { exampleMessages } from "./example-messages.ts";
import {
  type JsonMessageName,
  jsonMessageNames,
  jsonMessages,
  renderJsonSchema,
} from "./json-schemas.ts";
import { leadingComment } from "./leading-comment.ts";

const docs = new URL("../../../../docs/", import.meta.url);
const codec = new URL("../syn-batch.v1.ts", import.meta.url);
const synBatchGrammar = leadingComment(readFileSync(codec, "utf8"));
const published = readFileSync(new URL("asyncapi.yaml", docs), "utf8");
const document = parse(published) as ReturnType<typeof createAsyncApi>;

const isAsyncApi = compileAsyncApi();
const schemaFiles = new Ajv({ strict: true, allowUnionTypes: true });

/** AsyncAPI's own schema of its documents. */
function compileAsyncApi() {
  // Strict mode refuses keywords that it uses.
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const { definitions, ...schema } = asyncApiSchemas["3.0.0"];
  // It brings draft 7's meta schema along, which ajv has, and refuses to have twice.
  const { "http://json-schema.org/draft-07/schema": _, ...own } = definitions ?? {};
  return ajv.compile({ ...schema, definitions: own } as object);
}

function schemaFile(name: JsonMessageName) {
  const text = readFileSync(new URL(`schemas/${name}.json`, docs), "utf8");
  return schemaFiles.compile(JSON.parse(text) as object);
}

/** Whether every subject that `subject` stands for is one of `pattern`'s. */
function covers(pattern: string, subject: string): boolean {
  const tokens = pattern.split(".");
  const given = subject.split(".");
  if (tokens.at(-1) === ">") {
    return (
      given.length >= tokens.length &&
      covers(tokens.slice(0, -1).join("."), given.slice(0, tokens.length - 1).join("."))
    );
  }
  return (
    tokens.length === given.length &&
    tokens.every((token, at) => token === "*" || token === given[at])
  );
}

const channelSubjects = Object.values(document.channels).map(({ address }) =>
  address.replace("{address}", ">").replaceAll(/\{\w+\}/g, "*"),
);

describe("docs/asyncapi.yaml", () => {
  it("is what the code renders; `make docs` writes it", () => {
    expect(published).toBe(renderAsyncApi({ synBatchGrammar }));
  });

  it("is valid by the specification of AsyncAPI 3.0", () => {
    expect(isAsyncApi(document) ? [] : isAsyncApi.errors).toEqual([]);
  });

  it.each([
    [["info", "version"], undefined],
    [["asyncapi"], "2.6.0"],
    [["operations", "publishVerdict", "action"], "publish"],
    [["channels", "syn", "parameters", "shard", "description"], 7],
    [["servers", "nats", "protocol"], undefined],
  ])("that validation refuses it where %j is %j", (path, value) => {
    expect(isAsyncApi(withMember(document, path, value))).toBe(false);
  });

  it("refers to nothing that isn't there", () => {
    const references = [...published.matchAll(/\$ref: "?([^"\s]+)"?/g)].map(([, to = ""]) => to);
    expect(references.length).toBeGreaterThan(10);
    for (const to of references) expect(target(to), to).toBeDefined();
  });

  it.each(Object.entries(subjects))("has a channel for %s, %s", (_, pattern) => {
    expect(channelSubjects.filter((subject) => covers(pattern, subject))).toHaveLength(1);
  });

  it("has no channel but those subjects and the KV buckets", () => {
    const known = [...Object.values(subjects), ...kvBuckets.map(({ name }) => `$KV.${name}.>`)];
    const strangers = channelSubjects.filter(
      (subject) => !known.some((pattern) => covers(pattern, subject)),
    );
    expect(strangers).toEqual([]);
  });

  it("names every stream and every KV bucket", () => {
    const { streams, buckets } = document["x-jetstream"];
    expect(streams.map(({ name }) => name)).toEqual(Object.values(contracts.streamNames));
    for (const { limits } of streams) expect(limits).toMatch(/PW_/);
    const constants = Object.entries(contracts).filter(([name]) => name.endsWith("_BUCKET"));
    const names = [...constants.map(([, bucket]) => bucket), ...Object.values(contracts.buckets)];
    expect(buckets.map(({ name }) => name)).toEqual(names);
  });

  it("names only variables that there are", () => {
    const variables = readFileSync(new URL("variables.md", docs), "utf8");
    const named = new Set(published.match(/PW_[A-Z0-9_]+/g));
    for (const name of named) expect(variables).toContain(`### ${name}\n`);
  });

  it("has the grammar that stands above the codec", () => {
    expect(synBatchGrammar).toContain("batch   = header record*");
    expect(document.components.messages.synBatchV1.description).toContain(synBatchGrammar);
  });

  it("its examples of subjects are those that the code makes", () => {
    const { examples } = document.channels.verdict.parameters.address;
    const source = { ip4: "203.0.113.9/32", ip6: "2001:db8:0:1::/64" };
    const made = Object.values(source).map((text) => verdictSubject(parsePrefix(text)));
    expect(examples.map((tokens) => `packetwatch.v1.verdict.${tokens}`)).toEqual(made);
    expect(alertSubject("vertical", parsePrefix(source.ip4))).toBe(
      `packetwatch.v1.alert.vertical.${examples[0]}`,
    );
  });
});

/** What a reference of the document points at: a member of it, or a file's text. */
function target(reference: string): unknown {
  if (!reference.startsWith("#/")) return readFileSync(new URL(reference, docs), "utf8");
  const members = reference.slice(2).split("/");
  return members.reduce<unknown>(
    (value, member) => (value as Record<string, unknown> | undefined)?.[member],
    document,
  );
}

describe("docs/schemas", () => {
  it("holds a schema for each JSON message and nothing else", () => {
    const files = readdirSync(new URL("schemas/", docs)).toSorted();
    expect(files).toEqual(jsonMessageNames.map((name) => `${name}.json`));
  });

  it.each(jsonMessageNames)("%s is what the code renders; `make docs` writes it", (name) => {
    const text = readFileSync(new URL(`schemas/${name}.json`, docs), "utf8");
    expect(text).toBe(renderJsonSchema(name));
  });

  it.each(jsonMessageNames)(
    "%s says something of every member, also where a check is ours",
    (name) => {
      const unsaid: string[] = [];
      JSON.parse(renderJsonSchema(name), (member, value: object) => {
        const isSchema = member !== "additionalProperties" && typeof value === "object";
        if (isSchema && Object.keys(value ?? {}).length === 0) unsaid.push(member);
        return value;
      });
      expect(unsaid).toEqual([]);
    },
  );
});

const examples: readonly (readonly [JsonMessageName, keyof typeof exampleMessages])[] = [
  ["verdict.v1", "block"],
  ["verdict.v1", "operatorBlock"],
  ["verdict.v1", "unblock"],
  ["alert.v1", "alert"],
  ["applied.v1", "applied"],
  ["telemetry.v1", "telemetry"],
  ["host-blocks-request.v1", "hostBlocksRequest"],
  ["host-blocks-reply.v1", "hostBlocksReply"],
  ["allow-entry.v1", "allowEntry"],
  ["enforcement.v1", "enforcement"],
  ["host-state.v1", "hostState"],
  ["breaker.v1", "breaker"],
];

describe.each(examples)("schema %s and example %s", (name, example) => {
  const message = exampleMessages[example];
  const isValid = schemaFile(name);

  it("agree, and so does the codec", () => {
    expect(isValid(message) ? [] : isValid.errors).toEqual([]);
    expect(jsonMessages[name].schema.parse(message)).toEqual(message);
  });

  it("allow members that this version doesn't know, as the codec does", () => {
    const extended = { ...message, colour: "red" };
    expect(isValid(extended)).toBe(true);
    expect(jsonMessages[name].schema.safeParse(extended).success).toBe(true);
  });

  it.each(Object.keys(message))("agree with the codec about a message without %s", (member) => {
    const without = withMember(message, [member], undefined);
    const json = JSON.parse(JSON.stringify(without)) as unknown;
    const optional = member === "comment" || (member === "reason" && name === "verdict.v1");
    expect(isValid(json)).toBe(optional);
    expect(jsonMessages[name].schema.safeParse(json).success).toBe(optional);
  });

  const wrong: readonly (readonly [string, unknown])[] = [
    ["version", 2],
    ["source", 7],
    ["metrics", [{}]],
    ["evidence", { count: 0 }],
    ["action", "dropped"],
    ["kind", "allow"],
  ];
  it.each(wrong.filter(([member]) => member in message))(
    "refuse %s %j, as the codec does",
    (member, value) => {
      const changed = { ...message, [member]: value };
      expect(isValid(changed)).toBe(false);
      expect(jsonMessages[name].schema.safeParse(changed).success).toBe(false);
    },
  );
});
