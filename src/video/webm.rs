//! WebM with AV1 as output.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use rav1e::prelude::{
    ChromaSampling, ColorDescription, ColorPrimaries, Config, Context, EncoderConfig, EncoderStatus, FrameType, MatrixCoefficients,
    PixelRange, Rational, SpeedSettings, TransferCharacteristics,
};

use super::colour::Colour;
use super::frame::Frame;
use super::matroska::{Description, Matroska};
use super::options::{Effort, VideoOptions};
use super::output::Output;
use super::sink::Sink;
use crate::{Error, Result};

/// Seconds between frames that a player can jump to.
const KEYFRAME_SECONDS: f64 = 2.0;

/// An OBU that tells where a frame begins, which WebM tells itself.
const DELIMITER: [u8; 2] = [0x12, 0];

/// The first byte of a sequence header with its length behind it.
const SEQUENCE_HEADER: u8 = 0x0a;

/// Encodes frames as they come.
pub(super) struct WebmWriter<'w> {
    name: PathBuf,
    size: (u32, u32),
    fps: f64,
    encoder: Context<u8>,
    state: Phase<'w>,
}

/// Where frames go, and before the first of them where they will.
enum Phase<'w> {
    Empty(Output<'w>),
    Begun(Matroska<BufWriter<Output<'w>>>),
    Failed,
}

impl<'w> WebmWriter<'w> {
    pub(super) fn create(output: Output<'w>, size: (u32, u32), fps: f64, options: &VideoOptions) -> Result<Self> {
        let (width, height) = size;
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return Err(Error::Input(format!(
                "AV1 is written with even sides, not {width}x{height}; choose an even size or write .gif or PNG"
            )));
        }
        let encoder = Config::new().with_encoder_config(config(size, fps, options)).new_context().map_err(|e| failed(output.name(), &e))?;
        Ok(Self { name: output.name().into(), size, fps, encoder, state: Phase::Empty(output) })
    }

    /// Writes what the encoder has finished, and all that is left at the end.
    fn take_packets(&mut self) -> Result<()> {
        loop {
            match self.encoder.receive_packet() {
                Ok(packet) => {
                    let data = packet.data.strip_prefix(&DELIMITER).unwrap_or(&packet.data);
                    self.append(data, packet.frame_type == FrameType::KEY)?;
                }
                Err(EncoderStatus::Encoded) => {}
                Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return Ok(()),
                Err(other) => return Err(failed(&self.name, &other)),
            }
        }
    }

    fn append(&mut self, frame: &[u8], keyframe: bool) -> Result<()> {
        let io = |e| Error::io(&self.name)(e);
        if let Phase::Empty(_) = self.state {
            let codec_private = [&self.encoder.container_sequence_header(), sequence_header(frame)].concat();
            let description = Description { size: self.size, fps: self.fps, codec_private: &codec_private };
            if let Phase::Empty(output) = std::mem::replace(&mut self.state, Phase::Failed) {
                self.state = Phase::Begun(Matroska::begin(BufWriter::new(output), &description).map_err(io)?);
            }
        }
        match &mut self.state {
            Phase::Begun(matroska) => matroska.write(frame, keyframe).map_err(io),
            _ => Err(failed(&self.name, &"it failed before")),
        }
    }
}

impl Sink for WebmWriter<'_> {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let yuv = Colour::BT709.to_yuv(frame.samples(), width, height);
        let (luma, chroma) = yuv.split_at(width * height);
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        let mut picture = self.encoder.new_frame();
        for (plane, (samples, stride)) in picture.planes.iter_mut().zip([(luma, width), (cb, width / 2), (cr, width / 2)]) {
            plane.copy_from_raw_u8(samples, stride, 1);
        }
        self.encoder.send_frame(picture).map_err(|e| failed(&self.name, &e))?;
        self.take_packets()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.encoder.flush();
        self.take_packets()?;
        let Phase::Begun(matroska) = self.state else { return Err(failed(&self.name, &"the encoder gave no frame")) };
        let (output, _) = matroska.finish().map_err(Error::io(&self.name))?.into_parts();
        output.publish()
    }
}

fn config((width, height): (u32, u32), fps: f64, options: &VideoOptions) -> EncoderConfig {
    let speed = match options.effort {
        Effort::Fast => 10,
        Effort::Balanced => 8,
        Effort::Small => 5,
    };
    let keyframes = (fps * KEYFRAME_SECONDS).ceil() as u64;
    EncoderConfig {
        width: width as usize,
        height: height as usize,
        // Nothing depends on it: no rate is asked for.
        time_base: Rational::new(1, (fps.round() as u64).max(1)),
        chroma_sampling: ChromaSampling::Cs420,
        pixel_range: PixelRange::Limited,
        color_description: Some(ColorDescription {
            color_primaries: ColorPrimaries::BT709,
            transfer_characteristics: TransferCharacteristics::BT709,
            matrix_coefficients: MatrixCoefficients::BT709,
        }),
        min_key_frame_interval: keyframes.min(12),
        max_key_frame_interval: keyframes,
        quantizer: quantiser(options.quality),
        speed_settings: SpeedSettings::from_preset(speed),
        ..Default::default()
    }
}

/// 1 to 100 as AV1's quantiser of 0 to 255, so that frames are as near to what they were as H.264's of the same quality. From 75 on they are
/// so good that it takes small steps to be better.
fn quantiser(quality: u8) -> usize {
    let quality = f64::from(quality);
    let quantiser = if quality <= 75.0 { 240.0 - 2.8 * quality } else { 117.0 - 1.16 * quality };
    quantiser.round() as usize
}

/// The sequence header at the start of a keyframe, which a file's description has too.
fn sequence_header(frame: &[u8]) -> &[u8] {
    match frame {
        // Its length is one byte: it has some ten of them.
        [SEQUENCE_HEADER, length @ ..0x80, rest @ ..] if rest.len() >= usize::from(*length) => &frame[..2 + usize::from(*length)],
        _ => &[],
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Input(format!("{}: cannot encode the video: {error}", path.display()))
}
