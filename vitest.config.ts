import { defineConfig } from "vitest/config";

/** Suites that use the kernel, real servers or timing: one file after the other. */
const oneAtATime = {
  fileParallelism: false,
  maxWorkers: 1,
  // More than what they wait for adds up to, on a machine that others use too.
  testTimeout: 180_000,
  hookTimeout: 180_000,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["libs/**/*.test.ts", "services/**/*.test.ts", "cli/**/*.test.ts"],
          // Property tests on a machine that others use too.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: "kernel", include: ["test/kernel/**/*.test.ts"], ...oneAtATime } },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          ...oneAtATime,
          // They wait more than they compute, each on servers and namespaces of its own.
          fileParallelism: true,
          maxWorkers: 3,
        },
      },
      { test: { name: "docker", include: ["test/docker/**/*.test.ts"], ...oneAtATime } },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          ...oneAtATime,
        },
      },
    ],
  },
});
