// Which keys a tile of queries sees, range by range. Where RANGED, `ranges` has for each block of 128 queries the place where its bounds
// begin, then the bounds of all blocks: those of each block's ranges, and of an empty one behind the last; else they are all keys.

// `tile` is where the next tile of keys begins, `end` where its range ends: the same once all were seen. `next` is the place of the next
// bounds.
struct Seen { tile: u32, end: u32, next: u32 }

// A slot that is left out is read as floats.
fn bound(at: u32) -> u32 { return u32(ranges_get(at)); }

fn range_at(at: u32) -> Seen { return Seen(bound(at), bound(at + 1u), at + 2u); }

fn first_seen(query: u32, p: Params) -> Seen {
    if (RANGED == 0u) { return Seen(0u, p.k_len, 0u); }
    return range_at(bound(query / 128u));
}

// After a tile of so many keys.
fn seen_after(seen: Seen, keys: u32) -> Seen {
    let tile = seen.tile + keys;
    if (RANGED == 0u || tile < seen.end) { return Seen(tile, seen.end, seen.next); }
    return range_at(seen.next);
}
