/** Loaded before a service by `--import`: its wall clock goes an hour ahead with SIGUSR2. */
const AHEAD_MS = 3600 * 1000;

process.once("SIGUSR2", () => {
  const now = Date.now;
  Date.now = () => now() + AHEAD_MS;
});
