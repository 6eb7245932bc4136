//! From an image and a raw video to frames in one call, with the demo's checkpoint and the networks beside it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::tiny_sam2::{original, save_torch, tiny};
use image::{Rgb, RgbImage};
use wan_animate::driving::DrivingVideo;
use wan_animate::networks::{MaskPrompt, MaskPrompts, NetworkFiles, Networks, Person, PersonDetector, Pose, PoseEstimator, Search};
use wan_animate::preprocess::{
    Conditions, Flag, Keypoint, Keypoints, NUM_KEYPOINTS, PersonBox, Preprocess, ReferenceFit, Resolution, Retarget, WholeBody,
};
use wan_animate::video::{Frame, Frames, Motion, Scene, VideoWriter, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Cancel, Device, Error, Event, MemoryBudget, Result, Stage, State};

const SIZE: u32 = 96;
const FRAMES: usize = 13;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(name)
}

fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| Device::builder().build().expect("an adapter (`make test` installs a software one)")).clone()
}

fn pipeline() -> AnimatePipeline {
    static PIPELINE: OnceLock<AnimatePipeline> = OnceLock::new();
    PIPELINE.get_or_init(|| AnimatePipeline::builder(&device()).checkpoint(path("model")).build().expect("the demo's checkpoint")).clone()
}

fn reference() -> Arc<RgbImage> {
    Arc::new(open_image(path("reference.png")).expect("the demo's character"))
}

fn video() -> Frames {
    let all = Frames::open(path("driving.mp4")).expect("the demo's driving video");
    Frames::from_images((0..FRAMES).map(|index| all.read(index).expect("a frame"))).expect("frames of one size")
}

fn preprocess() -> Preprocess {
    Preprocess::new().size(SIZE, SIZE).iterations(1).kernel_size(3).w_subdivisions(8).h_subdivisions(8)
}

fn driving() -> DrivingVideo {
    DrivingVideo::new(video()).preprocess(preprocess())
}

fn networks() -> NetworkFiles {
    NetworkFiles::new().folder(path("model/process_checkpoint"))
}

fn short(request: AnimateRequest) -> AnimateRequest {
    request.segment_frames(FRAMES).num_inference_steps(2)
}

fn frames(request: AnimateRequest) -> Vec<Frame> {
    let events = request.start().expect("starts").map(|event| event.expect("runs"));
    events.filter_map(|event| if let Event::Frame(frame) = event { Some(frame) } else { None }).collect()
}

fn same(a: &[Frame], b: &[Frame]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.samples() == b.samples())
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wan-animate-driving-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// Written as PNG files and read again.
fn through_files(frames: &Frames, folder: &Path) -> Frames {
    let (width, height) = frames.size();
    let mut writer = VideoWriter::create(folder, width, height, 16.0).expect("a new folder");
    (0..frames.num_frames()).for_each(|index| {
        writer.write(&Frame::from(&frames.read(index).expect("a frame"))).expect("written");
    });
    writer.finish().expect("whole");
    Frames::open(folder).expect("what was written")
}

fn prepared(preparation: Result<wan_animate::driving::Preparation>) -> Result<Conditions> {
    preparation?.run(&Cancel::new(), &mut |_, _| {})
}

#[test]
fn a_raw_video_gives_the_frames_of_the_files_made_of_it() {
    let (pipeline, reference, driving) = (pipeline(), reference(), driving());
    let folder = folder("files");
    let named = driving.clone().networks(networks());
    let conditions = prepared(named.to_animate(reference.clone(), &device())).expect("prepared");
    let pose = through_files(conditions.pose(), &folder.join("pose"));
    let face = through_files(conditions.face(), &folder.join("face"));
    let motion = Motion::new(pose, face).expect("as many");
    let one = frames(short(pipeline.animate_video(&reference, &driving).expect("networks are beside the checkpoint")));
    assert_eq!(one.len(), FRAMES);
    assert!(same(&one, &frames(short(pipeline.animate(&reference, &motion)))), "animate");

    let conditions = prepared(named.to_replace(&device())).expect("prepared");
    let read = |name: &str, frames: Option<&Frames>| through_files(frames.expect("made to replace"), &folder.join(name));
    let motion = Motion::new(read("replace_pose", Some(conditions.pose())), read("replace_face", Some(conditions.face())));
    let (background, mask) = (read("bg", conditions.background()), read("mask", conditions.mask()));
    let scene = Scene::new(motion.expect("as many"), background, mask).expect("as many");
    let one = frames(short(pipeline.replace_video(&reference, &driving).expect("networks are beside the checkpoint")));
    assert!(same(&one, &frames(short(pipeline.replace(&reference, &scene)))), "replace");
    let _ = std::fs::remove_dir_all(folder);
}

/// With SAM 2 among the networks, which comes before the demo's own network of masks.
#[test]
fn a_person_is_replaced_by_the_masks_that_sam_2_follows() {
    let folder = folder("sam2");
    let networks_with = folder.join("process_checkpoint");
    std::fs::create_dir_all(&networks_with).expect("a folder");
    for file in std::fs::read_dir(path("model/process_checkpoint")).expect("the demo's networks") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), networks_with.join(file.file_name())).expect("copied");
    }
    let (tensors, json, _) = tiny("tiny_2_0");
    save_torch(&networks_with.join("sam2"), "sam2_hiera_large.pt", &original(&tensors), Some(&json));
    let device = Device::builder().build().expect("an adapter");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(path("model")).build().expect("the demo's checkpoint");
    let files = NetworkFiles::new().folder(&networks_with);
    let (reference, with) = (reference(), driving().networks(files).cache(folder.join("cache")));
    let run = |driving: &DrivingVideo| {
        let mut pieces = Vec::new();
        let conditions = driving.to_replace(&device).expect("can be prepared").run(&Cancel::new(), &mut |done, _| pieces.push(done));
        (conditions.expect("prepared"), pieces)
    };
    let pixels = |of: &Conditions| of.report().frames().iter().map(|frame| frame.mask_pixels).collect::<Vec<_>>();
    let (conditions, pieces) = run(&with);
    assert_eq!(pieces, (1..=2 * FRAMES).collect::<Vec<_>>());
    // With something said by hand the points need not be found again.
    let said = MaskPrompts::new().frame(4, MaskPrompt::new().person(50.0, 50.0).other(3.0, 90.0));
    let (corrected, pieces) = run(&with.clone().search(Search::new().mask_prompts(said)));
    assert_eq!(pieces, (FRAMES..=2 * FRAMES).collect::<Vec<_>>());
    assert_eq!(conditions.keypoints(), corrected.keypoints());
    println!("{:?} pixels, then {:?}", pixels(&conditions), pixels(&corrected));
    let (without, _) = run(&driving().networks(networks()));
    assert_ne!(pixels(&conditions), pixels(&without));

    let read = |name: &str, frames: Option<&Frames>| through_files(frames.expect("made to replace"), &folder.join(name));
    let motion = Motion::new(read("pose", Some(conditions.pose())), read("face", Some(conditions.face()))).expect("as many");
    let scene = Scene::new(motion, read("bg", conditions.background()), read("mask", conditions.mask())).expect("as many");
    let again = driving().networks(NetworkFiles::new().folder(&networks_with));
    let request = short(pipeline.replace_video(&reference, &again).expect("networks are given"));
    let planned = pipeline.plan(&request).expect("fits");
    device.reset_peak();
    let one = frames(request);
    assert!(device.memory_use().peak <= planned.peak(), "{planned}");
    assert!(same(&one, &frames(short(pipeline.replace(&reference, &scene)))));
    let _ = std::fs::remove_dir_all(folder);
}

/// Networks of a folder have masks of their own, SAM 2 follows others, and either come as files: the same pipeline, and the same frames of the same
/// masks. What the networks' own masks are is given back.
fn masks_of_three_sources(name: &str, networks: NetworkFiles, video: &Frames) -> Frames {
    let (pipeline, reference, folder) = (pipeline(), reference(), folder(name));
    let (tensors, json, _) = tiny("tiny_2_1");
    save_torch(&folder, "sam2.1_hiera_tiny.pt", &original(&tensors), Some(&json));
    let followed = networks.clone().segmenter(folder.join("sam2.1_hiera_tiny.pt"));
    let driving = DrivingVideo::new(video.clone()).preprocess(preprocess());
    let replaced = |driving: DrivingVideo| {
        let request = pipeline.replace_video(&reference, &driving).expect("networks are given");
        frames(request.segment_frames(video.num_frames()).num_inference_steps(2))
    };
    let [own, followed] = [("own", networks), ("followed", followed)].map(|(source, files)| {
        let mut opened = files.open(&device()).expect("opens");
        let found = opened.find(video, &Search::new().masks(true), &Cancel::new(), &mut |_, _| {}).expect("somebody");
        let masks = found.masks.expect("asked for");
        let made = replaced(driving.clone().networks(files.clone()));
        assert_eq!(made.len(), video.num_frames());
        let of_files = driving.clone().networks(files).mask(through_files(&masks, &folder.join(source)));
        assert!(same(&made, &replaced(of_files)), "masks of files");
        (masks, made)
    });
    assert!(!same(&own.1, &followed.1), "other masks");
    let _ = std::fs::remove_dir_all(folder);
    own.0
}

#[test]
fn masks_of_three_sources_go_through_the_same_pipeline() {
    let five = Frames::from_images((0..5).map(|index| video().read(index).expect("a frame"))).expect("frames of one size");
    masks_of_three_sources("sources", networks(), &five);
}

/// MediaPipe's networks, whose masks are of the person that is known to be there.
#[test]
#[ignore = "needs networks that users have"]
fn masks_of_mediapipe_go_through_the_same_pipeline_as_those_of_sam_2() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("the networks are not there: passed over");
        return;
    }
    let five = |name: &str| {
        let all = Frames::open(data.join("juggle").join(name)).expect("a clip");
        Frames::from_images((0..5).map(|index| all.read(index).expect("a frame"))).expect("frames of one size")
    };
    let masks = masks_of_three_sources("mediapipe", NetworkFiles::new().folder(data.join("networks")), &five("video.mp4"));
    let known = five("person_mask.mp4");
    for index in 0..5 {
        let (own, known) = (masks.read(index).expect("a mask"), known.read(index).expect("a mask"));
        let pairs: Vec<_> = own.pixels().zip(known.pixels()).map(|(a, b)| (a.0[0] > 127, b.0[0] > 127)).collect();
        let count = |of: fn(bool, bool) -> bool| pairs.iter().filter(|(a, b)| of(*a, *b)).count() as f64;
        let overlap = count(|a, b| a && b) / count(|a, b| a || b);
        println!("frame {index}: {overlap:.3} of what either mask covers is in both");
        assert!(overlap > 0.9, "frame {index}: {overlap}");
    }
}

/// Whenever it is killed, in preprocessing as later; the networks are then not asked again.
#[test]
fn a_generation_goes_on_where_it_was_killed() {
    let (pipeline, reference) = (pipeline(), reference());
    let driving = driving().preprocess(preprocess().retarget(Retarget::to_found()));
    let request = || short(pipeline.animate_video(&reference, &driving).expect("can be prepared"));
    let (mut states, mut whole) = (Vec::new(), Vec::new());
    let mut generation = request().start().expect("starts");
    while let Some(event) = generation.next() {
        match event.expect("runs") {
            Event::Frame(frame) => whole.push(frame),
            Event::Progress(progress) if progress.stage == Stage::Preprocessing && progress.done == 3 => {
                states.push((generation.state(), false));
            }
            Event::Prepared(_) | Event::Step(_) => states.push((generation.state(), true)),
            _ => {}
        }
    }
    assert_eq!(states.len(), 4);
    let file = folder("state").with_extension("safetensors");
    for (state, is_found) in states {
        state.save(&file).expect("written");
        let resumed = request().resume(State::open(&file).expect("what was written"));
        let mut events = Vec::new();
        let made: Vec<Frame> = resumed
            .start()
            .expect("the same request")
            .filter_map(|event| match event.expect("runs") {
                Event::Frame(frame) => Some(frame),
                Event::Progress(progress) if progress.stage == Stage::Preprocessing => {
                    events.push(progress.done);
                    None
                }
                _ => None,
            })
            .collect();
        assert!(same(&made, &whole));
        assert_eq!(events.is_empty(), is_found, "{events:?}");
    }
    let other = driving.clone().preprocess(preprocess().retarget(Retarget::to_found()).smooth(true));
    let state = State::open(&file).expect("there");
    let error = short(pipeline.animate_video(&reference, &other).expect("fine")).resume(state).start().expect_err("other settings");
    assert!(error.to_string().contains("preprocessing"), "{error}");
    let _ = std::fs::remove_file(file);
}

#[test]
fn a_plan_counts_the_networks() {
    for budget in [None, Some(MemoryBudget::bytes(24 << 20))] {
        let device = Device::builder().host_networks(false).build().expect("an adapter");
        let builder = AnimatePipeline::builder(&device).checkpoint(path("model"));
        let pipeline = budget.into_iter().fold(builder, |builder, budget| builder.memory_budget(budget)).build().expect("the demo's");
        let request = short(pipeline.replace_video(reference(), &driving()).expect("networks are beside the checkpoint"));
        let plan = pipeline.plan(&request).expect("fits");
        let stage = plan.stages().iter().find(|stage| stage.stage == Stage::Preprocessing).copied().expect("a stage of its own");
        assert!(plan.to_string().contains("preprocessing"), "{plan}");
        let decoding = plan.stages().last().expect("the last stage");
        let networks = std::fs::read_dir(path("model/process_checkpoint")).expect("there").map(|file| file.expect("a file").metadata());
        let bytes: u64 = networks.map(|data| data.expect("a size").len()).sum();
        // In f32, as they are stored, but for the names of their nodes.
        assert!(stage.weights > decoding.weights + bytes / 2, "{plan}");
        // With a budget, blocks that are to stay are there from the first generation on.
        let peaks = [(), ()].map(|()| {
            device.reset_peak();
            let mut peak = 0;
            for event in request.clone().start().expect("starts") {
                if let Event::Stage(Stage::Encoding) = event.expect("runs") {
                    peak = device.memory_use().peak;
                }
            }
            assert_eq!(device.memory_use().peak, plan.peak(), "{plan}");
            peak
        });
        assert_eq!(peaks[1], stage.peak, "{plan}");
        assert!(peaks[0] <= peaks[1]);
    }
}

/// The host's memory is where they are then: the GPU has what later stages need alone.
#[test]
fn a_plan_knows_of_networks_on_the_host() {
    let plans = [true, false].map(|on_host| {
        let device = Device::builder().host_networks(on_host).build().expect("an adapter");
        let pipeline = AnimatePipeline::builder(&device).checkpoint(path("model")).build().expect("the demo's");
        let request = short(pipeline.replace_video(reference(), &driving()).expect("networks are beside the checkpoint"));
        let plan = pipeline.plan(&request).expect("fits");
        device.reset_peak();
        request.start().expect("starts").for_each(|event| drop(event.expect("runs")));
        assert_eq!(device.memory_use().peak, plan.peak(), "{plan}");
        plan
    });
    let [host, gpu] = plans.map(|plan| {
        let stages = plan.stages();
        let stage = stages.iter().find(|stage| stage.stage == Stage::Preprocessing).expect("a stage of its own");
        (stage.weights - stages.last().expect("the last stage").weights, plan.host())
    });
    assert_eq!(host.0, 0);
    assert!(gpu.0 > 0 && host.1 > gpu.1, "{host:?} {gpu:?}");
}

/// Networks are asked once for a video and once for a reference, whatever is made of what they found.
#[test]
fn what_was_found_is_kept() {
    let cache = folder("cache");
    let entries = || std::fs::read_dir(&cache).map_or(0, |entries| entries.count());
    let run = |driving: &DrivingVideo| {
        let driving = driving.clone().networks(networks()).cache(&cache);
        let mut pieces = 0;
        let preparation = driving.to_animate(reference(), &device()).expect("can be prepared");
        let conditions = preparation.run(&Cancel::new(), &mut |_, _| pieces += 1).expect("prepared");
        (conditions, pieces)
    };
    let (first, asked) = run(&driving());
    assert_eq!((asked, entries()), (FRAMES, 1));
    let (again, asked) = run(&driving());
    assert_eq!((asked, entries()), (1, 1));
    assert_eq!(first.keypoints(), again.keypoints());
    let (_, asked) = run(&driving().preprocess(preprocess().smooth(true).retarget(Retarget::to_found())));
    assert_eq!((asked, entries()), (2, 2), "the reference alone");
    let (_, asked) = run(&driving().search(Search::new().every_frame(true)));
    assert_eq!((asked, entries()), (FRAMES, 3));
    for entry in std::fs::read_dir(&cache).expect("there") {
        std::fs::write(entry.expect("an entry").path(), b"damaged").expect("written");
    }
    let (mended, asked) = run(&driving());
    assert_eq!((asked, mended.keypoints()), (FRAMES, first.keypoints()), "a damaged file is passed over");
    let _ = std::fs::remove_dir_all(cache);
}

#[test]
fn what_is_given_comes_first() {
    let (reference, all) = (reference(), video());
    let picture = |level| Frames::from_images((0..FRAMES).map(|_| RgbImage::from_pixel(96, 96, Rgb([level; 3])))).expect("of one size");
    let found = prepared(driving().networks(networks()).to_animate(reference.clone(), &device())).expect("prepared");
    // Without networks.
    let driving = driving().keypoints(found.keypoints().clone());
    let own = prepared(driving.to_animate(reference.clone(), &device())).expect("key points do");
    assert_eq!(own.keypoints(), found.keypoints());
    assert!(own.pose().read(5).expect("a frame") == found.pose().read(5).expect("a frame"));
    let given = driving.clone().pose(picture(7)).face(picture(8)).background(picture(9)).mask(picture(255));
    let own = prepared(given.to_replace(&device())).expect("a mask does");
    let level = |frames: Option<&Frames>| frames.expect("made").read(3).expect("a frame").get_pixel(1, 1)[0];
    let levels = [level(Some(own.pose())), level(Some(own.face())), level(own.background())];
    assert_eq!(levels, [7, 8, 9]);
    let wrong = driving.pose(Frames::from_images((0..3).map(|index| all.read(index).expect("a frame"))).expect("of one size"));
    let error = prepared(wrong.to_animate(reference, &device())).expect_err("3 poses");
    assert!(error.to_string().contains("poses of 3 frames"), "{error}");
}

/// The size is that of the reference, the video or the request; a reference may be cut.
#[test]
fn sizes_follow_what_they_should() {
    let (pipeline, video) = (pipeline(), driving());
    let tall = Arc::new(RgbImage::from_pixel(100, 200, Rgb([200; 3])));
    let size = |preprocess: Preprocess| {
        let driving = video.clone().preprocess(preprocess);
        short(pipeline.animate_video(&tall, &driving).expect("fine")).start().expect("starts").size()
    };
    assert_eq!(size(Preprocess::new().area(96 * 96)), (64, 128));
    assert_eq!(size(Preprocess::new().area(96 * 96).aspect(wan_animate::preprocess::Aspect::Video)), (96, 96));
    assert_eq!(Resolution::P480.area(), 832 * 480);
    let request = short(pipeline.animate_video(&tall, &video).expect("fine")).size(64, 48);
    assert_eq!(request.start().expect("starts").size(), (64, 48));
    let cut = preprocess().reference_fit(ReferenceFit::CentreCrop);
    assert_eq!(cut.shown(&tall, (96, 96)).dimensions(), (100, 100));
}

/// The errors of what cannot be prepared, as early as they can be known.
#[test]
fn what_cannot_be_prepared_says_why() {
    let (pipeline, reference) = (pipeline(), reference());
    let black = Frames::from_images((0..3).map(|_| RgbImage::new(128, 128))).expect("of one size");
    let fails = |driving: DrivingVideo| prepared(driving.to_animate(reference.clone(), &device())).expect_err("cannot be").to_string();
    let nothing = driving().to_animate(reference.clone(), &device()).expect_err("no networks").to_string();
    assert!(nothing.contains("nothing says where the person is") && nothing.contains("yolov10m.onnx"), "{nothing}");
    let nobody = DrivingVideo::new(black.clone()).networks(networks()).preprocess(preprocess());
    assert!(fails(nobody.clone()).contains("nobody is found"));
    let request = short(pipeline.animate_video(&reference, &nobody).expect("known once it is looked at"));
    let error = request.start().expect("starts").find_map(Result::err).expect("nobody");
    assert!(matches!(&error, Error::Input(message) if message.contains("nobody is found")), "{error}");
    let faceless = driving().networks(networks()).preprocess(preprocess().retarget(Retarget::to_found()));
    let error = prepared(faceless.to_animate(RgbImage::new(64, 64), &device())).expect_err("nobody in the reference").to_string();
    assert!(error.contains("nobody is found in the reference"), "{error}");
    let error = pipeline.replace_video(&reference, &faceless).expect_err("retargeted").to_string();
    assert!(error.contains("cannot be retargeted"), "{error}");
    assert!(fails(driving().networks(networks()).preprocess(Preprocess::new().fps(100.0))).contains("4 to 60"));
    assert!(fails(driving().networks(NetworkFiles::new().folder("no such folder"))).contains("no such folder of networks"));
    let no_detector = networks().detector(path("model/process_checkpoint/mask.onnx"));
    assert!(fails(driving().networks(no_detector)).contains("where a detector of persons is wanted"));
    let empty = driving().networks(networks()).mask(Frames::from_images((0..3).map(|_| RgbImage::new(96, 96))).expect("of one size"));
    assert!(prepared(empty.to_replace(&device())).expect_err("3 masks").to_string().contains("masks of 3 frames"));
    let empty = driving().networks(networks()).mask(Frames::from_images([RgbImage::new(96, 96)]).expect("one"));
    assert!(prepared(empty.to_replace(&device())).expect_err("empty").to_string().contains("mask is empty"));
    let cached = driving().networks(networks()).cache(path("reference.png"));
    assert!(fails(cached).contains("reference.png"));
    let cancel = Cancel::new();
    cancel.cancel();
    let request = short(pipeline.animate_video(&reference, &driving()).expect("fine")).cancel(cancel);
    assert!(matches!(request.start().expect("starts").find_map(Result::err), Some(Error::Cancelled)));
}

#[test]
fn one_frame_is_a_video() {
    let one = Frames::from_images([video().read(0).expect("a frame")]).expect("one frame");
    let driving = DrivingVideo::new(one).preprocess(preprocess());
    let request = pipeline().animate_video(reference(), &driving).expect("fine").segment_frames(5).num_inference_steps(1);
    assert_eq!(frames(request).len(), 1);
}

/// A person who leaves for some frames, and somebody who joins it: what an application's own networks see.
struct Script;

/// A box for the person, moved a little from frame to frame, and its score.
fn person_at(index: usize) -> PersonBox {
    let x = 30.0 + index as f64;
    PersonBox { x1: x, x2: x + 40.0, y1: 20.0, y2: 110.0 }
}

impl PersonDetector for Script {
    fn persons(&mut self, frame: &RgbImage) -> Result<Vec<Person>> {
        let index = usize::from(frame.get_pixel(0, 0)[0]);
        let other = PersonBox { x1: 90.0, x2: 110.0, y1: 60.0, y2: 100.0 };
        Ok(match index {
            4..=6 => Vec::new(),
            8.. => vec![Person::new(person_at(index), 0.9), Person::new(other, 0.8)],
            _ => vec![Person::new(person_at(index), 0.9)],
        })
    }
}

impl PoseEstimator for Script {
    fn pose(&mut self, frame: &RgbImage, person: &PersonBox) -> Result<Pose> {
        let index = usize::from(frame.get_pixel(0, 0)[0]);
        let score = if (4..=6).contains(&index) { 0.0 } else { 0.9 };
        let at = |k: usize| (k % 12) as f64 / 12.0;
        let point = |k: usize| Keypoint {
            x: person.x1 + at(k) * (person.x2 - person.x1),
            y: person.y1 + at(k / 12) * (person.y2 - person.y1),
            score,
        };
        WholeBody::new(&(0..NUM_KEYPOINTS).map(point).collect::<Vec<_>>()).map(Pose::new)
    }
}

#[test]
fn the_report_says_who_left_and_who_came() {
    let frame = |index: usize| {
        let mut frame = RgbImage::from_pixel(128, 128, Rgb([90, 90, 90]));
        frame.put_pixel(0, 0, Rgb([index as u8; 3]));
        frame
    };
    let video = Frames::from_images((0..12).map(frame)).expect("of one size");
    let driving = DrivingVideo::new(video).preprocess(preprocess()).open_networks(Networks::new(Script, Script));
    let driving = driving.search(Search::new().every_frame(true));
    let conditions = prepared(driving.to_animate(reference(), &device())).expect("prepared");
    let flagged = |flag| -> Vec<usize> {
        let frames = conditions.report().frames().iter().enumerate();
        frames.filter(|(_, frame)| frame.flags.contains(&flag)).map(|(index, _)| index).collect()
    };
    assert_eq!(flagged(Flag::NoPerson), [4, 5, 6]);
    assert_eq!(flagged(Flag::SeveralPersons), [8, 9, 10, 11]);
    assert!(Keypoints::clone(conditions.keypoints()).frames()[5].points().iter().all(|point| point.score == 0.0));
}

/// MediaPipe's chain and a detector, which are larger than the demo's model.
#[test]
#[ignore = "needs networks that users have"]
fn a_plan_counts_real_networks() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("the networks are not there: passed over");
        return;
    }
    let device = Device::builder().host_networks(false).build().expect("an adapter");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(path("model")).build().expect("the demo's");
    let all = Frames::open(data.join("juggle/video.mp4")).expect("a clip");
    let two = Frames::from_images((0..2).map(|index| all.read(index).expect("a frame"))).expect("frames of one size");
    let driving = DrivingVideo::new(two).preprocess(preprocess()).networks(NetworkFiles::new().folder(data.join("networks")));
    let request = pipeline.replace_video(reference(), &driving).expect("fine").segment_frames(5).num_inference_steps(1);
    let planned = pipeline.plan(&request).expect("fits").peak();
    device.reset_peak();
    assert_eq!(frames(request).len(), 2);
    assert_eq!(device.memory_use().peak, planned);
}
