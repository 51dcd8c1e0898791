/** The part of nats-server's configuration that says who may do what, made from the table of roles. */
import {
  type Account,
  FLEET_ACCOUNT,
  inboxPrefix,
  type Role,
  roleNames,
  roles,
  type RoleSpec,
} from "./roles.ts";
import { subjectToken } from "./subjects.ts";

/** Somebody who may connect, by public key: nothing here is secret. */
export type NatsUser = {
  readonly name: string;
  readonly role: Role;
  /** The host that the credential is for; undefined: for any. */
  readonly host: string | undefined;
  readonly publicKey: string;
};

export type Permissions = {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Whether it may publish the answers to requests that it was sent. */
  readonly mayAnswer: boolean;
};

/** What nats-server enforces for one user. */
export function permissionsOf({ role, host, publicKey }: NatsUser): Permissions {
  const { publish, subscribe, answers }: RoleSpec = roles[role];
  const token = host === undefined ? "*" : subjectToken(host);
  const ofHost = (subject: string) => subject.replace("{host}", token);
  return {
    publish: [...new Set(publish.map(ofHost))],
    subscribe: [`${inboxPrefix(publicKey)}.>`, ...subscribe, ...answers.map(ofHost)],
    mayAnswer: answers.length > 0,
  };
}

/**
 * `accounts { ... }` for nats-server, to be included by its configuration.
 * Subjects of names are tokens, so nothing in it needs to be escaped.
 */
export function renderNatsAccounts(users: readonly NatsUser[]): string {
  const accounts = accountNames().map((account) => renderAccount(account, users));
  return `${HEADER}\naccounts {\n${accounts.join("\n")}\n}\n`;
}

const HEADER = `# Made by 'packetwatch keys' from libs/contracts/src/roles.ts: public keys and permissions, no secrets.
# nats-server reads it again on SIGHUP.`;

/** The rows of the two directions between an account and the fleet's. */
type Crossing = { readonly exports: readonly string[]; readonly imports: readonly string[] };

/** The fleet's own first. */
function accountNames(): readonly Account[] {
  return [...new Set<Account>([FLEET_ACCOUNT, ...roleNames.map((role) => roles[role].account)])];
}

function renderAccount(account: Account, users: readonly NatsUser[]): string {
  const own = users.filter(({ role }) => roles[role].account === account);
  const { exports, imports } = crossings(account);
  return [
    `  ${account} {`,
    ...(account === FLEET_ACCOUNT ? ["    jetstream: enabled"] : []),
    ...renderList("users", own.flatMap(renderUser)),
    ...renderList("exports", exports),
    ...renderList("imports", imports),
    "  }",
  ].join("\n");
}

function crossings(account: Account): Crossing {
  const others = accountNames().filter((name) => name !== FLEET_ACCOUNT);
  if (account !== FLEET_ACCOUNT) return crossingOf(account);
  const seen = others.map(crossingIntoFleet);
  return {
    exports: seen.flatMap(({ exports }) => exports),
    imports: seen.flatMap(({ imports }) => imports),
  };
}

/** The side of an account other than the fleet's. */
function crossingOf(account: Account): Crossing {
  const { publish, subscribe, answers } = subjectsOf(account);
  return {
    exports: answers.map(
      (subject) =>
        `{ service: ${quoted(subject)}, accounts: [${FLEET_ACCOUNT}], response: stream }`,
    ),
    imports: [
      ...publish.map((subject) => renderImport("service", FLEET_ACCOUNT, subject)),
      ...subscribe.map((subject) => renderImport("stream", FLEET_ACCOUNT, subject)),
    ],
  };
}

/** The fleet's side of the same. */
function crossingIntoFleet(account: Account): Crossing {
  const { publish, subscribe, answers } = subjectsOf(account);
  return {
    exports: [
      ...publish.map((subject) => `{ service: ${quoted(subject)}, accounts: [${account}] }`),
      ...subscribe.map((subject) => `{ stream: ${quoted(subject)}, accounts: [${account}] }`),
    ],
    imports: answers.map((subject) => renderImport("service", account, subject)),
  };
}

function subjectsOf(account: Account) {
  const specs: readonly RoleSpec[] = Object.values(roles).filter(
    (spec) => spec.account === account,
  );
  const all = (field: "publish" | "subscribe" | "answers") => [
    ...new Set(
      specs.flatMap((spec) => spec[field]).map((subject) => subject.replace("{host}", "*")),
    ),
  ];
  return { publish: all("publish"), subscribe: all("subscribe"), answers: all("answers") };
}

function renderImport(kind: "service" | "stream", account: Account, subject: string): string {
  return `{ ${kind}: { account: ${account}, subject: ${quoted(subject)} } }`;
}

function renderUser(user: NatsUser): string[] {
  const { publish, subscribe, mayAnswer } = permissionsOf(user);
  return [
    `# ${user.name}: ${roles[user.role].description}`,
    `{ nkey: ${user.publicKey}, permissions: {`,
    `    publish: ${publish.length === 0 ? '{ deny: [">"] }' : renderSubjects(publish)}`,
    `    subscribe: ${renderSubjects(subscribe)}`,
    ...(mayAnswer ? ["    allow_responses: true"] : []),
    "} }",
  ];
}

function renderSubjects(allowed: readonly string[]): string {
  return `{ allow: [${allowed.map(quoted).join(", ")}] }`;
}

function renderList(name: string, rows: readonly string[]): string[] {
  if (rows.length === 0) return [];
  return [`    ${name}: [`, ...rows.map((row) => `      ${row}`), "    ]"];
}

function quoted(subject: string): string {
  return JSON.stringify(subject);
}
