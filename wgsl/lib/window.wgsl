// Windows that move over images [b, h, w, c], for kernels of which a thread makes four channels of a pixel.

struct Params {
    count: u32, in_h: u32, in_w: u32, out_h: u32, out_w: u32, channels: u32,
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, pad_h: u32, pad_w: u32, end_h: u32, end_w: u32, counted: u32, last: u32, rows: u32,
}

// One place of a window: the pixel of the result, the first of its channels, and the window's rows and columns that are in the
// image, seen from the padding's first.
struct Place { pixel: u32, channel: u32, image: u32, top: u32, left: u32, rows: vec2<u32>, columns: vec2<u32> }

fn place_of(index: u32, p: Params) -> Place {
    let vec4s = (p.channels + 3u) / 4u;
    let pixel = index / vec4s;
    let top = pixel / p.out_w % p.out_h * p.stride_h;
    let left = pixel % p.out_w * p.stride_w;
    let rows = vec2<u32>(max(top, p.pad_h), min(top + p.k_h, p.pad_h + p.in_h));
    let columns = vec2<u32>(max(left, p.pad_w), min(left + p.k_w, p.pad_w + p.in_w));
    return Place(pixel, index % vec4s * 4u, pixel / (p.out_w * p.out_h), top, left, rows, columns);
}

// Where the channels of an element of the image are.
fn element_of(place: Place, row: u32, column: u32, p: Params) -> u32 {
    return ((place.image * p.in_h + row - p.pad_h) * p.in_w + column - p.pad_w) * p.channels + place.channel;
}
