//! What H.264 picture parameter sets and slice headers say of how pictures are predicted (ITU-T H.264, 7.3.2.2 and 7.3.3).

use super::bits::Bits;
use super::sps::{PictureOrder, Sps};

/// The part of a picture parameter set that a slice header is read by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pps {
    pub(super) id: u32,
    pub(super) sps_id: u32,
    /// Whether numbers are coded by CABAC, not CAVLC.
    pub(super) cabac: bool,
    order_deltas: bool,
    redundant_pictures: bool,
}

impl Pps {
    /// Reads a NAL unit, header byte included. `None` when it ends too soon, or has slice groups, which no file of today has.
    pub(super) fn parse(nal: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(nal.get(1..)?);
        let (id, sps_id, cabac, order_deltas) = (bits.unsigned()?, bits.unsigned()?, bits.flag()?, bits.flag()?);
        if bits.unsigned()? != 0 {
            return None;
        }
        // References of both lists, weights, quantisers, deblocking, constraints of intra prediction.
        bits.unsigned()?;
        bits.unsigned()?;
        bits.take(3)?;
        (0..3).try_for_each(|_| bits.signed().map(drop))?;
        bits.take(2)?;
        Some(Self { id, sps_id, cabac, order_deltas, redundant_pictures: bits.flag()? })
    }
}

/// Whether a slice predicts motion from its neighbours in time (`direct_spatial_mv_pred_flag` of 0) and is coded by CAVLC. `None` when it
/// ends too soon or its parameter sets are not there.
pub(super) fn is_temporal_cavlc(nal: &[u8], sets: &[(Sps, Vec<Pps>)]) -> Option<bool> {
    let is_idr = nal.first()? & 0x1f == 5;
    let mut bits = Bits::new(&nal[1..]);
    bits.unsigned()?;
    let is_b = bits.unsigned()? % 5 == 1;
    let pps_id = bits.unsigned()?;
    let (sps, pps) = sets.iter().find_map(|(sps, all)| Some((sps, all.iter().find(|pps| pps.id == pps_id)?)))?;
    if !is_b || pps.cabac {
        return Some(false);
    }
    bits.take(sps.frame_num_bits)?;
    if is_idr {
        bits.unsigned()?;
    }
    match sps.picture_order {
        PictureOrder::Counted { bits: count } => {
            bits.take(count)?;
            if pps.order_deltas {
                bits.signed()?;
            }
        }
        PictureOrder::Cycle { deltas: true } => {
            bits.signed()?;
            if pps.order_deltas {
                bits.signed()?;
            }
        }
        PictureOrder::Cycle { deltas: false } | PictureOrder::Decoded => {}
    }
    if pps.redundant_pictures {
        bits.unsigned()?;
    }
    Some(!bits.flag()?)
}
