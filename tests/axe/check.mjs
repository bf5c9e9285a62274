// Checks pages as people with different eyes, screens and hands meet them: axe-core's WCAG 2.2 A and AA rules at three
// widths, light, dark and in print; nothing wider than a small screen; every link and control reached by the Tab key with
// a visible focus; nothing run, stored or loaded from elsewhere. Usage: check.mjs CHROMIUM BASE PATH…
import fs from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [chromium, base, ...paths] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = { runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } };
const looks = [];
for (const width of [320, 768, 1280]) {
  looks.push({ width, scheme: "light", media: "screen" }, { width, scheme: "dark", media: "screen" });
}
looks.push({ width: 768, scheme: "light", media: "print" });

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"], pipe: true });
const faults = [];
let checks = 0;
for (const path of paths) {
  const page = await browser.newPage();
  await page.setBypassCSP(true); // for axe's own script; the pages' policy is tested apart
  const outside = [];
  page.on("request", (request) => { if (!request.url().startsWith(base)) outside.push(request.url()); });
  for (const { width, scheme, media } of looks) {
    const where = `${path} at ${width} px, ${scheme}, ${media}`;
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.emulateMediaType(media);
    const answer = await page.goto(base + path, { waitUntil: "load" });
    if (!answer || ![200, 404].includes(answer.status())) faults.push(`${where}: status ${answer?.status()}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) faults.push(`${where}: ${wide} px wider than the screen`);
    await page.evaluate(axe);
    const result = await page.evaluate((options) => window.axe.run(document, options), rules);
    checks += result.passes.length + result.violations.length;
    for (const violation of result.violations) {
      const nodes = violation.nodes.slice(0, 3).map((node) => `    ${node.target.join(" ")}: ${node.failureSummary}`);
      faults.push(`${where}: ${violation.id}: ${violation.help}\n${nodes.join("\n")}`);
    }
  }
  faults.push(...(await byKeyboard(page, path)));
  if (outside.length) faults.push(`${path}: asks elsewhere: ${outside.join(", ")}`);
  const cookies = await page.cookies();
  if (cookies.length) faults.push(`${path}: sets ${cookies.length} cookies`);
  await page.close();
}
await browser.close();
faults.forEach((fault) => console.error(`FAULT ${fault}`));
console.log(`${paths.length} pages, ${looks.length} looks each, ${checks} rules passed or failed, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);

// Every link and control is reached in the order of the page, and shows that it is.
async function byKeyboard(page, path) {
  await page.setViewport({ width: 1280, height: 900 });
  await page.emulateMediaType("screen");
  await page.goto(base + path, { waitUntil: "load" });
  const wanted = await page.evaluate(() => document.querySelectorAll("a[href],button,input:not([type=hidden])").length);
  const faults = [];
  const reached = new Set();
  for (let step = 0; step < wanted; step++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const here = document.activeElement;
      const all = [...document.querySelectorAll("a[href],button,input:not([type=hidden])")];
      const style = getComputedStyle(here);
      return { place: all.indexOf(here), shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
    });
    if (at.place !== step) faults.push(`${path}: Tab ${step + 1} reaches element ${at.place + 1}`);
    if (!at.shown) faults.push(`${path}: the focus on element ${at.place + 1} isn't seen`);
    reached.add(at.place);
  }
  if (reached.size !== wanted) faults.push(`${path}: ${wanted - reached.size} of ${wanted} can't be reached by keyboard`);
  return faults.slice(0, 3);
}
