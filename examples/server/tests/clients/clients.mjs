// One real client for Node, as its page has it: submit, follow, and say where the result is.
import { readFileSync } from "node:fs";

const { SERVER, KEY, IMAGE, VIDEO } = process.env;
const uri = (path, kind) => `data:${kind};base64,${readFileSync(path).toString("base64")}`;

const clients = {
  async "runware-js"() {
    const { RunwareServer } = await import("@runware/sdk-js");
    const client = await RunwareServer.initialize({ apiKey: KEY, url: SERVER.replace("http", "ws") + "/v1" });
    const inputs = { referenceImages: [uri(IMAGE, "image/png")], referenceVideos: [uri(VIDEO, "video/mp4")] };
    const made = await client.videoInference({ model: "runware:200@8", positivePrompt: "a dancer", inputs, resolution: "480p", steps: 2, seed: 7, numberResults: 1 });
    console.log("url=" + (Array.isArray(made) ? made[0] : made).videoURL);
    await client.disconnect?.();
  },
  async "wavespeed-js"() {
    const { Client } = await import("wavespeed");
    const client = new Client(KEY, { baseUrl: SERVER });
    const made = await client.run("wavespeed-ai/wan-2.2/animate", { image: await client.upload(IMAGE), video: await client.upload(VIDEO), seed: 7 });
    console.log("url=" + made.outputs[0]);
  },
};
await clients[process.argv[2]]();
process.exit(0);
