#![no_main]

use wan_animate::unversioned::models::{clip, dit, umt5, vae};
use wan_animate::unversioned::schedulers::SchedulerConfig;
use wan_animate::unversioned::json::read_json;
use wan_animate::unversioned::weights::config::ModelIndex;
use wan_animate::unversioned::video::clip_image::ClipImageConfig;
use wan_animate::Location;
use wan_animate_fuzz::file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Any of a checkpoint's JSON files.
    if let Ok(index) = ModelIndex::open(&Location::folder("model", [("model_index.json", bytes.to_vec())])) {
        let _ = (index.component("vae"), index.number("boundary_ratio"), index.flag("expand_timesteps"));
    }
    let file = file("config.json", bytes);
    let _ = SchedulerConfig::open(&file).and_then(|scheduler| scheduler.plan(4));
    let _ = ClipImageConfig::from_json(file.path(), bytes);
    let _ = read_json::<dit::config::Config>(&file).and_then(|config| config.check());
    let _ = read_json::<vae::config::Config>(&file).and_then(|config| config.check());
    let _ = read_json::<umt5::config::Config>(&file).and_then(|config| config.check());
    let _ = read_json::<clip::config::Config>(&file).and_then(|config| config.check());
});
