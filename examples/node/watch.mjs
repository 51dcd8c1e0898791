// Prints verdicts as they come: node watch.mjs [SUBJECT]
import { connectToNats } from "../shared/connect.mjs";

const [subject = "packetwatch.v1.verdict.>"] = process.argv.slice(2);
const connection = await connectToNats("watch");

for await (const message of connection.subscribe(subject)) {
  const { kind, source, rule, decidedBy } = message.json();
  console.log(`${kind} ${source} ${rule ?? ""} by ${decidedBy}`);
}
