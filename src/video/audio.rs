//! The sound of a video file, as it is coded there.
#![cfg_attr(not(feature = "mp4"), allow(dead_code, reason = "only MP4 and MOV files have sound here"))]

use crate::location::Location;

/// The sound of a video file, to be copied beside generated frames: packets as they are coded, none decoded.
///
/// [`Audio::open`] finds it, [`VideoOptions::audio`](super::VideoOptions::audio) takes it along.
#[derive(Clone, Debug)]
pub struct Audio {
    /// The file that the packets are in.
    pub(super) file: Location,
    /// The sample entry's kind, such as `mp4a`, and what is in it.
    pub(super) kind: [u8; 4],
    pub(super) entry: Vec<u8>,
    /// Ticks a second of packets' durations.
    pub(super) timescale: u32,
    pub(super) packets: Vec<Packet>,
    /// When what is copied begins, in seconds from the video's first frame.
    pub(super) begin: f64,
}

/// A coded piece of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// In ticks.
    pub(super) duration: u32,
    /// When it is heard, in seconds from the video's first frame.
    pub(super) at: f64,
}

impl Audio {
    /// Leaves out what is heard in the first `seconds` of the video, as where frames are left out.
    pub fn skip(mut self, seconds: f64) -> Self {
        self.begin += seconds;
        self
    }

    /// The packets that are heard in the first `seconds` of what is copied, and when the first of them begins, seen from there: before
    /// it, unless the sound begins late.
    pub(super) fn cut(&self, seconds: f64) -> (&[Packet], f64) {
        let ends = |packet: &Packet| packet.at + f64::from(packet.duration) / f64::from(self.timescale);
        let first = self.packets.partition_point(|packet| ends(packet) <= self.begin);
        let end = self.packets.partition_point(|packet| packet.at < self.begin + seconds).max(first);
        let packets = &self.packets[first..end];
        (packets, packets.first().map_or(0.0, |packet| packet.at - self.begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_with_the_frames_is_kept() {
        let packet = |index: u32| Packet { offset: 0, size: 1, duration: 10, at: f64::from(index) * 0.1 - 0.05 };
        let audio = Audio {
            file: "a.mp4".into(),
            kind: *b"mp4a",
            entry: vec![],
            timescale: 100,
            packets: (0..10).map(packet).collect(),
            begin: 0.0,
        };
        let cut = |audio: &Audio, seconds: f64| {
            let (packets, lead) = audio.cut(seconds);
            (packets.len(), (lead * 1000.0).round())
        };
        assert_eq!(cut(&audio, 0.25), (3, -50.0));
        assert_eq!(cut(&audio, 9.0), (10, -50.0));
        assert_eq!(cut(&audio.clone().skip(0.2), 0.1), (2, -50.0));
        assert_eq!(cut(&audio.clone().skip(-1.0), 1.01), (1, 950.0), "sound that begins late");
        assert_eq!(cut(&audio.skip(5.0), 1.0).0, 0);
    }
}
