// In Grafana's place where its image can't be had, so that the profile observability starts: it answers the health check,
// and its container shows what Grafana would be given. It provisions nothing and draws nothing.
import { createServer } from "node:http";

const PORT = 3000;

const server = createServer(({ url }, response) => {
  response.writeHead(url === "/api/health" ? 200 : 404, { "content-type": "application/json" });
  response.end('{"standIn":true}\n');
});
server.listen(PORT, () => console.log(`a stand-in for Grafana listens on ${PORT}`));
process.once("SIGTERM", () => server.close());
