//! How large the canvas is, and where on it the reference lies.

use crate::pipelines::run::crop::Crop;

/// Sides are multiples of it.
const STEP: u32 = 16;

/// The canvas of about `area` pixels (width and height, of which only the product counts) for a reference of such a shape.
pub fn canvas(reference: (u32, u32), area: (u32, u32)) -> (u32, u32) {
    let ((width, height), area) = (counted(reference), f64::from(area.0) * f64::from(area.1));
    let aspect = f64::from(height) / f64::from(width);
    let side = |side: f64| (side.sqrt() as u32 / STEP * STEP).max(STEP);
    (side(area / aspect), side(area * aspect))
}

/// What of the canvas the reference fills.
pub fn crop(reference: (u32, u32), (width, height): (usize, usize)) -> Crop {
    let (own_width, own_height) = counted(reference);
    let (own_width, own_height) = (own_width as usize, own_height as usize);
    let is_wider = (width as f64 / height as f64) < own_width as f64 / own_height as f64;
    let size = if is_wider { (width, own_height * width / own_width) } else { (own_width * height / own_height, height) };
    let size = (size.0.max(1), size.1.max(1));
    Crop { at: ((width - size.0) / 2, (height - size.1) / 2), size }
}

/// The reference counts as if its sides were multiples, as in diffusers.
fn counted((width, height): (u32, u32)) -> (u32, u32) {
    let side = |side: u32| (side / STEP * STEP).max(STEP);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canvas_has_the_area_and_the_reference_its_shape() {
        assert_eq!(canvas((48, 80), (48, 48)), (32, 48));
        assert_eq!(crop((48, 80), (32, 48)), Crop { at: (2, 0), size: (28, 48) });
        assert_eq!(canvas((640, 800), (640, 800)), (640, 800));
        assert_eq!(crop((640, 800), (640, 800)), Crop::whole((640, 800)));
        assert_eq!(canvas((1920, 1080), (832, 480)), (832, 464));
        assert_eq!(canvas((1, 4000), (64, 64)), (16, 1008));
    }
}
