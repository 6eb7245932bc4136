use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::ops::pool::{Pool, pool};
use wan_animate::unversioned::ops::window::Window;

use crate::case::{Case, Refusal};
use crate::host::Host;
use crate::oracle::pool as oracle;

/// Windows with uneven sides, steps and paddings, and one that ends beyond the padding.
pub fn window(places: [usize; 2]) -> Window {
    Window { kernel: [3, 2], stride: [2, 1], pad: [(1, 0), (0, 1)], places }
}

fn case(x: Host, what: Pool, window: Window, dtype: wan_animate::unversioned::dtype::DType) -> Case {
    Case::new(
        format!("pool {what:?} of {:?} {} by {window:?}", x.shape, x.dtype),
        [&x.clone()],
        move |rec, [x]| pool(rec, x, what, &window, dtype),
        move || oracle::pool(&x, what, &window),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 4]| Host::random(1, &shape, 1.0);
    let wide = Window { kernel: [5, 5], stride: [1, 1], pad: [(2, 2), (2, 2)], places: [4, 3] };
    let mut cases = vec![case(x([1, 4, 3, 8]).to(F16), Pool::Max, wide, F16), case(x([1, 4, 3, 4]), Pool::Mean, wide, F16)];
    for what in [Pool::Max, Pool::Mean, Pool::MeanWithPads] {
        cases.extend([case(x([2, 6, 5, 8]), what, window([3, 5]), F32), case(x([1, 6, 5, 3]), what, window([4, 5]), F32)]);
    }
    cases
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, window: Window| {
        Refusal::new(says, [&Host::random(1, &[1, 4, 4, 4], 1.0)], move |rec, [x]| pool(rec, x, Pool::Max, &window, F32))
    };
    let sound = Window { kernel: [2, 2], stride: [1, 1], pad: [(0, 0), (0, 0)], places: [3, 3] };
    vec![
        refused("over 4x4 pixels", Window { places: [5, 3], ..sound }),
        refused("over 4x4 pixels", Window { stride: [0, 1], ..sound }),
        refused("over 4x4 pixels", Window { places: [3, 0], ..sound }),
    ]
}
