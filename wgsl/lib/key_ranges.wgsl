// Which keys a tile of queries sees, range by range. Where RANGED, `ranges` has for each block of 128 queries the place where its bounds begin,
// then where the last end, then all bounds; else they are all keys.

// `tile` is where the next tile of keys begins, `end` where its range does: the same once all were seen. Other ranges' bounds follow, from `bounds`
// to `last`.
struct Seen { tile: u32, end: u32, bounds: u32, last: u32 }

// A slot that is left out is read as floats.
fn bound(at: u32) -> u32 { return u32(ranges_get(at)); }

fn first_seen(query: u32, p: Params) -> Seen {
    if (RANGED == 0u) { return Seen(0u, p.k_len, 0u, 0u); }
    let at = bound(query / 128u);
    return Seen(bound(at), bound(at + 1u), at + 2u, bound(query / 128u + 1u));
}

// After a tile of so many keys.
fn seen_after(seen: Seen, keys: u32) -> Seen {
    let tile = seen.tile + keys;
    if (RANGED == 0u || tile < seen.end) { return Seen(tile, seen.end, seen.bounds, seen.last); }
    if (seen.bounds == seen.last) { return Seen(seen.end, seen.end, seen.bounds, seen.last); }
    return Seen(bound(seen.bounds), bound(seen.bounds + 1u), seen.bounds + 2u, seen.last);
}
