#!/usr/bin/env node
// Starts the mcpctl of this machine's platform package in its place, or as near to that as Node can: the program gets
// this process's standard streams and signals, and its end is this process's end.
"use strict";

const { accessSync, constants } = require("node:fs");

const windows = process.platform === "win32";
const platform = `${process.platform}-${process.arch}`;
const args = process.argv.slice(2);

function fail(message) {
  process.stderr.write(`mcpctl: ${message}\n`);
  process.exit(1);
}

// The platform packages are optional dependencies, of which npm installs the one that fits. They hold one static
// program each, so that it doesn't matter which C library a Linux has.
function locate() {
  const name = `@mcpctl/${platform}`;
  try {
    return require.resolve(`${name}/bin/mcpctl${windows ? ".exe" : ""}`);
  } catch {
    const supported = Object.keys(require("../package.json").optionalDependencies);
    if (!supported.includes(name)) {
      const list = supported.map((s) => s.slice("@mcpctl/".length)).join(", ");
      return fail(
        `there is no npm package for ${platform}, only for ${list}. ` +
          "With Go installed run: go install github.com/mcpctl/mcpctl/cmd/mcpctl@latest",
      );
    }
    return fail(
      `the package ${name}, which holds the program, isn't installed. npm leaves it out with --omit=optional ` +
        "(--no-optional), or when node_modules or the lock file comes from another kind of machine. " +
        "Delete node_modules and package-lock.json, then run: npm install --include=optional mcpctl",
    );
  }
}

const program = locate();
if (!windows) {
  try {
    accessSync(program, constants.X_OK);
  } catch (error) {
    fail(`${program} can't be run: ${error.message}. Install the package again: npm install --force mcpctl`);
  }
}

// Node 22.15 and later can become the program: nothing is left in between. Earlier ones wait beside it.
if (!windows && typeof process.execve === "function") {
  process.execve(program, [program, ...args]);
}

// A terminal sends these two to every process that it controls, so to the program too. A second one would tell it to
// stop at once, without finishing what it does. All are caught before the program starts: what came in between would
// end this process alone. Standard input is asked about without process.stdin, which would make a stream of it and could
// change how the program finds it.
let child;
const byTerminal = require("node:tty").isatty(0) ? ["SIGINT", "SIGHUP"] : [];
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]) {
  try {
    process.on(signal, () => windows || byTerminal.includes(signal) || child.kill(signal));
  } catch {
    // Windows doesn't have them all.
  }
}
child = require("node:child_process").spawn(program, args, { stdio: "inherit", windowsHide: true });

child.on("error", (error) => fail(`starting ${program}: ${error.message}. Install the package again: npm install --force mcpctl`));
child.on("exit", (code, signal) => {
  if (signal === null) {
    process.exit(code);
  }
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
