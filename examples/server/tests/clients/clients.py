"""One real client, as its page has it: submit, follow, and say where the result is."""

import asyncio
import base64
import hashlib
import os
import sys
import time

SERVER, KEY, IMAGE, VIDEO = (os.environ[name] for name in ("SERVER", "KEY", "IMAGE", "VIDEO"))


def openai():
    from openai import OpenAI

    client = OpenAI(api_key=KEY, base_url=f"{SERVER}/v1")
    video = "data:video/mp4;base64," + base64.b64encode(open(VIDEO, "rb").read()).decode()
    extra = {"video_reference": {"video_url": video}, "num_inference_steps": 2, "num_frames": 5, "seed": 7}
    job = client.videos.create(prompt="a dancer", model="wan2.2-animate-14b", input_reference=open(IMAGE, "rb"), extra_body=extra)
    job = client.videos.poll(job.id, poll_interval_ms=300)
    assert job.status == "completed", job
    assert any(other.id == job.id for other in client.videos.list())
    print("sha256=" + hashlib.sha256(client.videos.download_content(job.id).read()).hexdigest())


def wavespeed():
    from wavespeed import Client

    client = Client(api_key=KEY, base_url=SERVER)
    inputs = {"image": client.upload(IMAGE), "video": client.upload(VIDEO), "mode": "animate", "resolution": "480p", "seed": 7}
    print("url=" + client.run("wavespeed-ai/wan-2.2/animate", inputs)["outputs"][0])


def inputs():
    return {"reference_image": IMAGE, "driving_video": VIDEO, "sampling_steps": 10, "clip_len": 17, "fps": -1, "seed": 7}


def inferencesh(stream=False):
    from inferencesh import inference

    client = inference(api_key=KEY, base_url=SERVER)
    task = {"app": "infsh/wan-2-2-animate-v2v", "input": inputs()}
    if stream:
        for update in client.run(task, stream=True):
            last = update
        print("url=" + last["output"]["output_video"])
    else:
        done = client.run(task)
        print("url=" + done["output"]["output_video"])


def inferencesh_old():
    from inferencesh import Inference, TaskStatus

    done = Inference(api_key=KEY, base_url=SERVER).run({"app": "infsh/wan-2-2-animate-v2v", "input": inputs()})
    assert done["status"] == TaskStatus.COMPLETED, done
    print("url=" + done["output"]["output_video"])


def runware():
    from runware import IVideoAdvancedFeatures, IVideoInference, Runware
    from runware.types import IVideoInputs, IWanAnimate

    async def main():
        client = Runware(api_key=KEY, url=SERVER.replace("http", "ws") + "/v1")
        await client.connect()
        features = IVideoAdvancedFeatures(advancedFeature=IWanAnimate(mode="animate", retargetPose=False, prevSegCondFrames=1))
        request = IVideoInference(
            model="runware:200@8", positivePrompt="a dancer", inputs=IVideoInputs(referenceImages=[IMAGE], referenceVideos=[VIDEO]), resolution="480p",
            fps=16, steps=2, seed=7, outputFormat="MP4", outputQuality=90, ttl=60, includeCost=True, numberResults=1, advancedFeatures=features)
        answer = await client.videoInference(requestVideo=request)
        videos = answer if isinstance(answer, list) else await client.getResponse(answer.taskUUID)
        print(f"at={time.time()}")
        print("url=" + videos[0].videoURL)
        await client.disconnect()

    asyncio.run(main())


def aiml():
    import requests

    headers = {"Authorization": f"Bearer {KEY}"}
    uri = lambda path, kind: f"data:{kind};base64," + base64.b64encode(open(path, "rb").read()).decode()
    body = {"model": "alibaba/wan2.2-14b-animate-move", "image_url": uri(IMAGE, "image/png"), "video_url": uri(VIDEO, "video/mp4"), "resolution": "480p",
            "num_inference_steps": 2, "seed": 7}
    made = requests.post(f"{SERVER}/v2/video/generations", json=body, headers=headers).json()
    while True:
        state = requests.get(f"{SERVER}/v2/video/generations", params={"generation_id": made["id"]}, headers=headers).json()
        if state["status"] in ("completed", "error"):
            break
        time.sleep(0.5)
    print("url=" + state["video"]["url"])


clients = {"openai": openai, "wavespeed": wavespeed, "inferencesh": inferencesh, "inferencesh-stream": lambda: inferencesh(True), "inferencesh-old": inferencesh_old,
           "runware": runware, "aiml": aiml}
clients[sys.argv[1]]()
