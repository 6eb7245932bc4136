"""Makes tests/goldens/video: small files of the kinds that people have, and what ffmpeg shows of them.

    python tests/reference/video_files.py

ffmpeg 5.1.9 with libx264, libx265, libaom, libwebp and libopus. Frame n of a file is of one grey, 16 + 3 n in luma, so that a frame that is read tells
which one it is; those of `corners` have a grey of their own in each quarter.
"""

import json
import struct
import subprocess
from pathlib import Path

OUT = Path(__file__).parent.parent / "goldens" / "video"
GREY = "nullsrc=s=64x48:r={rate},geq=lum='16+3*N':cb=128:cr=128,format=yuv420p"
CORNERS = "nullsrc=s=64x48:r=30,geq=lum='40+40*gt(X,31)+100*gt(Y,23)':cb=128:cr=128,format=yuv420p"
X264 = ["-c:v", "libx264", "-crf", "18", "-threads", "1"]


def ffmpeg(*arguments):
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def grey(name, *options, frames=30, rate=30, codec=X264):
    ffmpeg("-f", "lavfi", "-i", GREY.format(rate=rate), "-frames:v", frames, *codec, *options, "-bitexact", OUT / name)


def shown(name, *options):
    """The numbers of the frames that ffmpeg shows."""
    luma = ffmpeg("-i", OUT / name, "-an", *options, "-vsync", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-")
    size = 64 * 48 * 3 // 2
    return [round((luma[at] - 16) / 3) for at in range(0, len(luma), size)]


def patch(source, name, *changes):
    data = (OUT / source).read_bytes()
    for old, new in changes:
        assert old in data and len(old) == len(new)
        data = data.replace(old, new)
    (OUT / name).write_bytes(data)


def presented():
    """Files of which frames are read, each with the rate to ask for."""
    bframes = ["-x264-params", "keyint=15:bframes=3:b-adapt=0:scenecut=0"]
    grey("bframes.mp4", *bframes)
    grey("source.mp4", *bframes, frames=60)
    grey("plain.mp4", "-bf", "0", "-g", "20", frames=60)
    copy = ["-c", "copy", "-bitexact"]
    ffmpeg("-ss", "0.7", "-i", OUT / "source.mp4", "-t", "0.6", *copy, OUT / "trimmed.mp4")
    ffmpeg("-ss", "1.25", "-i", OUT / "source.mp4", *copy, OUT / "trimmed.mov")
    ffmpeg("-ss", "0.4", "-i", OUT / "plain.mp4", "-t", "0.5", *copy, OUT / "trimmed_plain.mp4")
    uneven = "setpts='(if(lt(N,10),N,if(lt(N,20),10+(N-10)*3,40+(N-20)*2)))/(30*TB)'"
    grey("uneven.mp4", "-vf", uneven, "-vsync", "vfr", *bframes)
    grey("uneven_first.mov", "-vf", "setpts='if(eq(N,0),0,N+14)/(30*TB)'", "-vsync", "vfr", "-bf", "0")
    grey("television.mp4", "-bf", "0", frames=70, rate="30000/1001")
    grey("milliseconds.mp4", "-bf", "0", "-video_track_timescale", "1000", frames=70, rate="30000/1001")
    grey("timecode.mov", "-timecode", "01:00:00:00", "-bf", "0", frames=12)
    grey("refresh.mp4", "-x264-params", "keyint=20:intra-refresh=1:bframes=0", frames=70)
    # A picture before the video, as a track of its own.
    ffmpeg("-i", OUT / "bframes.mp4", "-f", "lavfi", "-i", "color=red:s=96x96:r=30:d=0.03", "-map", "1", "-map", "0", "-c:v:0", "mjpeg", "-c:v:1", "copy",
           "-bitexact", OUT / "cover_first.mov")
    # Parameter sets in the stream and none in front of it: the counts of sets are put to 0.
    grey("repeated.mp4", "-x264-params", "repeat-headers=1:keyint=15:bframes=0")
    data = (OUT / "repeated.mp4").read_bytes()
    configuration = data[data.index(b"avcC") + 4 :][:8]
    patch("repeated.mp4", "avc3.mp4", (b"avc1\0\0\0\0\0\0\0\1", b"avc3\0\0\0\0\0\0\0\1"), (configuration[:6], configuration[:5] + b"\xe0"))
    rates = {"trimmed.mp4": 30, "trimmed.mov": 30, "uneven.mp4": 30, "uneven_first.mov": 30, "bframes.mp4": 30, "trimmed_plain.mp4": 30}
    names = ["bframes.mp4", "source.mp4", "trimmed.mp4", "trimmed.mov", "trimmed_plain.mp4", "uneven.mp4", "uneven_first.mov", "television.mp4",
             "milliseconds.mp4", "timecode.mov", "refresh.mp4", "cover_first.mov", "avc3.mp4"]
    expected = {}
    for name in names:
        video = ["-map", "0:v:1"] if name == "cover_first.mov" else []
        expected[name] = {"frames": shown(name, *video)}
        if name in rates:
            expected[name]["at"] = {str(fps): shown(name, *video, "-vf", f"fps={fps}") for fps in (rates[name], 10)}
    (OUT / "shown.json").write_text(json.dumps(expected, indent=1) + "\n")
    for left in ("plain.mp4", "repeated.mp4"):
        (OUT / left).unlink()


def turned():
    ffmpeg("-f", "lavfi", "-i", CORNERS, "-frames:v", "2", *X264, "-bitexact", OUT / "corners.mp4")


def refused():
    """Files that are known not to be read before anything is decoded."""
    grey("lossless.mp4", "-qp", "0", frames=4, codec=["-c:v", "libx264"])
    grey("lossless_444.mp4", "-qp", "0", "-pix_fmt", "yuv444p", frames=4, codec=["-c:v", "libx264"])
    grey("chroma_422.mp4", "-pix_fmt", "yuv422p", frames=4)
    grey("ten_bits.mov", "-pix_fmt", "yuv420p10le", "-crf", "1", frames=4)
    grey("interlaced.mp4", "-flags", "+ilme+ildct", "-x264-params", "interlaced=1", frames=4)
    grey("temporal.mp4", "-x264-params", "cabac=0:direct=temporal:bframes=3:b-adapt=0", frames=12)
    grey("fragmented.mp4", "-movflags", "frag_keyframe+empty_moov", frames=4)
    grey("hevc.mov", "-tag:v", "hvc1", "-x265-params", "log-level=none", frames=4, codec=["-c:v", "libx265"])
    grey("open.mp4", "-x264-params", "open-gop=1:keyint=10:min-keyint=10:bframes=2:b-adapt=0:scenecut=0", frames=40)
    ffmpeg("-ss", "0.5", "-i", OUT / "open.mp4", "-c", "copy", "-bitexact", OUT / "open_cut.mp4")
    (OUT / "open.mp4").unlink()
    grey("vp9.webm", frames=4, codec=["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "40"])
    grey("mask.avif", frames=1, codec=["-c:v", "libaom-av1", "-still-picture", "1", "-cpu-used", "8"])
    (OUT / "picture.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x08mdat")


def animated():
    uneven = ["-vf", "setpts='(N+2*gte(N,3))/(10*TB)',format=rgb24", "-vsync", "vfr"]
    grey("animated.webp", *uneven, "-loop", "0", "-lossless", "1", frames=6, rate=10, codec=["-c:v", "libwebp_anim"])
    grey("animated.png", *uneven, "-plays", "0", "-f", "apng", frames=6, rate=10, codec=["-c:v", "apng"])
    grey("animated.gif", "-vf", uneven[1].replace("format=rgb24", "format=gray"), "-vsync", "vfr", frames=6, rate=10, codec=["-c:v", "gif"])


def sounding():
    tone = ["-f", "lavfi", "-i", "sine=f=440:r=48000:d=1.5"]
    grey = ["-f", "lavfi", "-t", "1.5", "-i", GREY.format(rate=30)]
    video = [*grey, *tone, *X264, "-bf", "2", "-b:a", "24k", "-bitexact"]
    ffmpeg(*video, "-c:a", "aac", OUT / "sound.mp4")
    ffmpeg(*video, "-c:a", "aac", OUT / "sound.mov")
    ffmpeg(*video, "-c:a", "libopus", OUT / "sound_opus.mp4")
    ffmpeg(*grey, "-itsoffset", "0.4", *tone, *X264, "-b:a", "24k", "-c:a", "aac", "-bitexact", OUT / "sound_late.mp4")


OUT.mkdir(exist_ok=True)
presented()
turned()
refused()
animated()
sounding()
print(OUT, sum(file.stat().st_size for file in OUT.iterdir()))
