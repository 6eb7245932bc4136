// Lines 13 and 17: the page in Chromium: upload, watch, play; reload in the middle; keyboard; dark mode. Screenshots go to the folder that is named.
import { chromium } from "playwright-core";

const { PAGE, IMAGE, VIDEO, SHOTS, CHROMIUM } = process.env;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
const need = (condition, what) => { if (!condition) { console.error("FAILED: " + what); process.exit(1); } };
/** Line 13, in the page: makes a short video in each format that the server has, and shows it. */
const openAll = async () => {
  const id = new URLSearchParams(location.hash.slice(1)).get("job");
  const { request } = await (await api("api/v1/jobs/" + id)).json();
  const formats = (await (await api("api/v1/capabilities")).json()).formats.filter(format => format !== "frames");
  for (const format of formats) {
    const short = { ...request, format, steps: 1, max_frames: 5, segment_frames: 5 };
    const job = await (await api("api/v1/jobs?wait=300", json(short))).json();
    const shown = document.createElement(format === "gif" ? "img" : "video");
    await new Promise((done, failed) => {
      shown.onload = shown.onloadeddata = done;
      shown.onerror = () => failed(new Error(format + " does not open"));
      shown.src = new URL(job.outputs[0].url).pathname + new URL(job.outputs[0].url).search;
    });
  }
  return formats;
};
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const problems = [];
  page.on("pageerror", error => problems.push(error.message));
  page.on("console", message => message.type() === "error" && !message.text().includes("404") && problems.push(message.text()));
  // Frames and previews go when the job ends, which a page learns a moment later.
  page.on("response", answer => answer.status() >= 400 && !/frames|preview/.test(answer.url()) && problems.push(answer.status() + " " + answer.url()));
  await page.goto(PAGE);
  await page.waitForFunction(() => !location.hash.includes("key"));
  await page.setInputFiles("#image", IMAGE);
  await page.setInputFiles("#video", VIDEO);
  await page.fill("#steps", "4");
  await page.fill("#seed", "7");
  // By the keyboard alone from here.
  await page.focus("#submit");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#state").textContent === "running", null, { timeout: 60000 });
  await page.waitForFunction(() => document.querySelectorAll("#frames img").length > 0, null, { timeout: 120000 });
  await page.screenshot({ path: SHOTS + "/running.png" });
  await page.reload();
  await page.waitForFunction(() => document.querySelector("#state").textContent !== "", null, { timeout: 30000 });
  await page.waitForFunction(() => document.querySelector("#state").textContent === "completed", null, { timeout: 120000 });
  await page.waitForFunction(() => document.querySelector("#result").videoWidth > 0, null, { timeout: 20000 });
  const before = await page.evaluate(() => document.querySelector("#result").currentTime);
  await page.waitForFunction(before => document.querySelector("#result").currentTime !== before, before, { timeout: 10000 });
  const size = await page.evaluate(() => [document.querySelector("#result").videoWidth, document.querySelector("#result").videoHeight]);
  await page.screenshot({ path: SHOTS + "/completed.png" });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: SHOTS + "/dark.png" });
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  need(background === "rgb(20, 22, 26)", "dark mode: " + background);
  const formats = await page.evaluate(openAll);
  need(!problems.length, "no errors in the console: " + problems.join("; "));
  console.log(`  page: ${size.join("x")} plays, after a reload in the middle; keyboard and dark mode work; ${formats.join(", ")} open`);
} catch (error) {
  const page = browser.contexts()[0]?.pages()[0];
  if (page) console.error(await page.evaluate(() => location.href + "\n" + document.body.innerText), await page.screenshot({ path: SHOTS + "/failed.png" }) && "");
  throw error;
} finally {
  await browser.close();
}
