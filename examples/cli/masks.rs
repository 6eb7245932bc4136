//! What SAM 2 is told of the person whose mask it follows.

use clap::{Args, ValueEnum};
use wan_animate::networks::{MaskGuide, MaskPrompt, MaskPrompts};
use wan_animate::preprocess::PersonBox;

#[derive(Args, Clone, Debug)]
pub struct Masks {
    /// What SAM 2 is told of the person: confident (sure points and a box, again where mask and points disagree) or official (eight points at every
    /// quarter of 400 frames).
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true, requires = "video", default_value = "confident")]
    mask_guide: Guide,
    /// What is said by hand of a frame (by its number in the report): FRAME:PART/PART/.., of +X,Y (the person is here), -X,Y (somebody else) and a box
    /// X1,Y1,X2,Y2, in pixels of the video. It corrects the mask from there on; may be repeated.
    #[arg(long, value_name = "PROMPT", value_parser = prompt, requires = "video", allow_hyphen_values = true)]
    mask_prompt: Vec<(usize, MaskPrompt)>,
    /// With how many others a frame is compared at most: fewer are faster.
    #[arg(long, value_name = "N", requires = "video", default_value_t = 11)]
    mask_memories: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Guide {
    Confident,
    Official,
}

impl Masks {
    pub fn prompts(&self) -> MaskPrompts {
        let guide = match self.mask_guide {
            Guide::Confident => MaskGuide::Confident,
            Guide::Official => MaskGuide::Official,
        };
        let prompts = MaskPrompts::new().guide(guide).max_memories(self.mask_memories);
        self.mask_prompt.iter().fold(prompts, |prompts, (frame, prompt)| prompts.frame(*frame, prompt.clone()))
    }
}

fn prompt(text: &str) -> Result<(usize, MaskPrompt), String> {
    let wrong = || format!("`{text}` is no prompt; write it as FRAME:PART/PART, for example 12:+320,200/-40,60");
    let (frame, parts) = text.split_once(':').ok_or_else(wrong)?;
    let frame = frame.trim().parse().map_err(|_| wrong())?;
    let numbers = |text: &str| text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<Vec<f64>>>();
    let mut prompt = MaskPrompt::new();
    for part in parts.split('/').map(str::trim) {
        let (sign, places) = part.split_at_checked(1).filter(|(sign, _)| ["+", "-"].contains(sign)).unwrap_or(("", part));
        prompt = match (sign, numbers(places).as_deref()) {
            ("+", Some(&[x, y])) => prompt.person(x, y),
            ("-", Some(&[x, y])) => prompt.other(x, y),
            ("", Some(&[x1, y1, x2, y2])) if x1 < x2 && y1 < y2 => prompt.bounds(PersonBox { x1, x2, y1, y2 }),
            _ => return Err(wrong()),
        };
    }
    Ok((frame, prompt))
}
