// Line 17: the page in Chromium: upload, watch, play; reload in the middle; keyboard; dark mode. Screenshots go to the folder that is named.
import { chromium } from "playwright-core";

const { PAGE, IMAGE, VIDEO, SHOTS, CHROMIUM } = process.env;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
const need = (condition, what) => { if (!condition) { console.error("FAILED: " + what); process.exit(1); } };
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
  need(!problems.length, "no errors in the console: " + problems.join("; "));
  console.log(`  page: ${size.join("x")} plays, after a reload in the middle; keyboard and dark mode work`);
} catch (error) {
  const page = browser.contexts()[0]?.pages()[0];
  if (page) console.error(await page.evaluate(() => location.href + "\n" + document.body.innerText), await page.screenshot({ path: SHOTS + "/failed.png" }) && "");
  throw error;
} finally {
  await browser.close();
}
