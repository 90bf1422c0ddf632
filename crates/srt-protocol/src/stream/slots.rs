//! Payload memory: a window of slots, grown on demand and given back as the window moves on.
//!
//! A slot is named by its absolute position (a `u64` that never wraps), so that a sender counts up and a receiver
//! may fill positions out of order. Slots live in chunks of [`CHUNK`]; a chunk is allocated when its first slot is
//! filled and put aside when its last is emptied. As many are kept as were lately in use at once, so that a running stream
//! allocates nothing; [`trim`](Slots::trim) lets go of them when the stream rests.

use std::collections::VecDeque;

/// Slots a chunk holds: 16 payloads of 1456 bytes are 23 kB.
const CHUNK: u64 = CHUNK_SLOTS as u64;
const CHUNK_SLOTS: usize = 16;
/// Empty chunks kept at least.
const SPARE_LEAST: usize = 2;
/// Chunks emptied after which what was needed at most counts for less.
const FADE_AFTER: u32 = 256;

/// A bounded window of payloads, each with a note `M`, by absolute position.
#[derive(Debug)]
pub(crate) struct Slots<M> {
    slot_size: usize,
    capacity: u64,
    /// The first position that may be occupied.
    start: u64,
    /// Number of the chunk at the front of `chunks`.
    first_chunk: u64,
    chunks: VecDeque<Option<Box<Chunk<M>>>>,
    spare: Vec<Box<Chunk<M>>>,
    /// Chunks in use, now and at most of late.
    used: usize,
    peak: usize,
    /// Chunks emptied since the peak was last lowered.
    emptied: u32,
    len: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk<M> {
    occupied: u16,
    notes: [Option<(M, u16)>; CHUNK_SLOTS],
    bytes: Box<[u8]>,
}

impl<M> Chunk<M> {
    fn new(slot_size: usize) -> Self {
        Self {
            occupied: 0,
            notes: [const { None }; CHUNK_SLOTS],
            bytes: vec![0; slot_size * CHUNK_SLOTS].into(),
        }
    }
}

impl<M> Slots<M> {
    /// A window of at most `capacity` positions whose payloads hold up to `slot_size` bytes (at most 65,535).
    pub(crate) fn new(capacity: usize, slot_size: usize) -> Self {
        Self {
            slot_size: slot_size.min(usize::from(u16::MAX)),
            capacity: capacity as u64,
            start: 0,
            first_chunk: 0,
            chunks: VecDeque::new(),
            spare: Vec::new(),
            used: 0,
            peak: 0,
            emptied: 0,
            len: 0,
            bytes: 0,
        }
    }

    /// Occupied slots.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Payload bytes in occupied slots.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The longest payload a slot takes.
    pub(crate) const fn slot_size(&self) -> usize {
        self.slot_size
    }

    /// Memory held, in bytes, spare chunks included.
    pub(crate) fn memory(&self) -> usize {
        let chunks = self.chunks.iter().flatten().count() + self.spare.len();
        chunks * (size_of::<Chunk<M>>() + self.slot_size * CHUNK_SLOTS)
            + self.chunks.capacity() * size_of::<usize>()
    }

    /// True where `position` lies within the window.
    pub(crate) const fn in_window(&self, position: u64) -> bool {
        position >= self.start && position - self.start < self.capacity
    }

    /// Fills the slot at `position`. Gives the note back where the slot is taken, out of the window, or too small.
    pub(crate) fn insert(&mut self, position: u64, note: M, payload: &[u8]) -> Result<(), M> {
        self.insert_with(position, note, payload.len(), |slot| {
            slot.copy_from_slice(payload);
            Some(payload.len())
        })
    }

    /// The same with a payload that `fill` writes into the `room` bytes it gets, and whose length it gives; nothing is kept where
    /// it gives none.
    pub(crate) fn insert_with(
        &mut self,
        position: u64,
        note: M,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<(), M> {
        if !self.in_window(position) || room > self.slot_size {
            return Err(note);
        }
        let number = position / CHUNK;
        if self.chunks.is_empty() {
            self.first_chunk = number;
        }
        while number < self.first_chunk {
            self.chunks.push_front(None);
            self.first_chunk -= 1;
        }
        let index = to_index(number - self.first_chunk);
        while self.chunks.len() <= index {
            self.chunks.push_back(None);
        }
        let slot_size = self.slot_size;
        let (spare, used) = (&mut self.spare, &mut self.used);
        let chunk = self.chunks[index].get_or_insert_with(|| {
            *used += 1;
            spare.pop().unwrap_or_else(|| Box::new(Chunk::new(slot_size)))
        });
        self.peak = self.peak.max(self.used);
        let slot = to_index(position % CHUNK);
        if chunk.occupied & (1 << slot) != 0 {
            return Err(note);
        }
        let len = fill(&mut chunk.bytes[slot * slot_size..][..room]).filter(|&len| len <= room);
        let Some(stored) = len.and_then(|len| u16::try_from(len).ok()) else {
            // Whatever was not kept must not keep memory either.
            if chunk.occupied == 0
                && let Some(chunk) = self.chunks[index].take()
            {
                self.used -= 1;
                self.spare.push(chunk);
            }
            return Err(note);
        };
        chunk.occupied |= 1 << slot;
        chunk.notes[slot] = Some((note, stored));
        self.len += 1;
        self.bytes += usize::from(stored);
        Ok(())
    }

    /// The note and payload at `position`.
    pub(crate) fn get(&self, position: u64) -> Option<(&M, &[u8])> {
        let (chunk, slot) = (self.chunk(position)?, to_index(position % CHUNK));
        let (note, len) = chunk.notes[slot].as_ref()?;
        Some((note, &chunk.bytes[slot * self.slot_size..][..usize::from(*len)]))
    }

    /// True where the slot at `position` is occupied.
    pub(crate) fn contains(&self, position: u64) -> bool {
        self.chunk(position).is_some_and(|chunk| chunk.occupied & (1 << (position % CHUNK)) != 0)
    }

    /// The first occupied position at or after `from`, looked up a chunk at a time.
    pub(crate) fn next_occupied(&self, from: u64) -> Option<u64> {
        let from = from.max(self.start);
        let first = (from / CHUNK).max(self.first_chunk);
        let skip = to_index(first - self.first_chunk);
        for (offset, chunk) in self.chunks.iter().enumerate().skip(skip) {
            let Some(chunk) = chunk else { continue };
            let base = (self.first_chunk + offset as u64) * CHUNK;
            let mask = if base >= from {
                u16::MAX
            } else {
                u16::MAX.checked_shl(low_bits(from - base)).unwrap_or(0)
            };
            let found = chunk.occupied & mask;
            if found != 0 {
                return Some(base + u64::from(found.trailing_zeros()));
            }
        }
        None
    }

    /// The last occupied position.
    pub(crate) fn last_occupied(&self) -> Option<u64> {
        self.chunks.iter().enumerate().rev().find_map(|(offset, chunk)| {
            let occupied = chunk.as_ref()?.occupied;
            (occupied != 0).then(|| {
                (self.first_chunk + offset as u64) * CHUNK + u64::from(15 - occupied.leading_zeros())
            })
        })
    }

    /// Empties the slots of a chunk whose bits are set in `which`.
    fn empty(&mut self, chunk: &mut Chunk<M>, which: u16) {
        let mut left = chunk.occupied & which;
        chunk.occupied &= !which;
        while left != 0 {
            let slot = left.trailing_zeros() as usize;
            left &= left - 1;
            if let Some((_, len)) = chunk.notes[slot].take() {
                self.len -= 1;
                self.bytes -= usize::from(len);
            }
        }
    }

    /// A chunk was emptied.
    fn put_aside(&mut self, chunk: Box<Chunk<M>>) {
        self.used -= 1;
        self.emptied += 1;
        if self.emptied >= FADE_AFTER {
            self.emptied = 0;
            self.peak = self.used.max(self.peak - self.peak / 8);
        }
        let most = (self.peak - self.used.min(self.peak)).max(SPARE_LEAST);
        self.spare.truncate(most);
        if self.spare.len() < most {
            self.spare.push(chunk);
        }
    }

    /// The stream rests: memory that is not in use is given back.
    pub(crate) fn trim(&mut self) {
        self.peak = self.used;
        self.spare = Vec::new();
        self.chunks.shrink_to_fit();
    }

    /// Moves the start of the window to `start`, emptying what lies before it; tells how many slots and bytes went.
    pub(crate) fn advance(&mut self, start: u64) -> (usize, usize) {
        let (len, bytes) = (self.len, self.bytes);
        self.start = self.start.max(start);
        let first = self.start / CHUNK;
        while self.first_chunk < first
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.first_chunk += 1;
            if let Some(mut chunk) = chunk {
                self.empty(&mut chunk, u16::MAX);
                self.put_aside(chunk);
            }
        }
        if self.chunks.is_empty() {
            self.first_chunk = first;
        } else if self.first_chunk == first
            && let Some(mut chunk) = self.chunks.front_mut().and_then(Option::take)
        {
            self.empty(&mut chunk, !(u16::MAX << (self.start % CHUNK)));
            if chunk.occupied == 0 {
                self.put_aside(chunk);
            } else {
                self.chunks[0] = Some(chunk);
            }
        }
        (len - self.len, bytes - self.bytes)
    }

    fn chunk(&self, position: u64) -> Option<&Chunk<M>> {
        let index = to_index((position / CHUNK).checked_sub(self.first_chunk)?);
        self.chunks.get(index)?.as_deref()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "offsets within a window are bounded by its capacity, a usize"
)]
const fn to_index(offset: u64) -> usize {
    offset as usize
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "callers pass less than CHUNK, or anything that shifts all out"
)]
const fn low_bits(offset: u64) -> u32 {
    if offset > 63 { 63 } else { offset as u32 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slot_gives_back_what_it_was_given() {
        let mut slots = Slots::new(100, 10);
        assert_eq!(slots.insert(40, 'a', b"hello"), Ok(()));
        assert_eq!(slots.insert(7, 'b', b""), Ok(()));
        assert_eq!(slots.get(40), Some((&'a', &b"hello"[..])));
        assert_eq!(slots.get(7), Some((&'b', &b""[..])));
        assert_eq!((slots.len(), slots.bytes()), (2, 5));
        assert_eq!(slots.insert(40, 'c', b"x"), Err('c'), "a taken slot stays as it is");
        assert_eq!(slots.insert(100, 'd', b"x"), Err('d'), "beyond the window");
        assert_eq!(slots.insert(50, 'e', b"12345678901"), Err('e'), "longer than a slot");
    }

    #[test]
    fn memory_is_kept_while_a_stream_runs_and_given_back_when_it_rests() {
        let mut slots = Slots::new(8192, 1456);
        for position in 0..8192 {
            slots.insert(position, (), &[1; 1456]).unwrap();
        }
        let most = slots.memory();
        assert!(most > 8192 * 1456);
        slots.advance(8192);
        assert_eq!(slots.len(), 0);
        assert!(slots.memory() <= most, "{}", slots.memory());
        for position in 8192..200_000 {
            slots.insert(position, (), &[1; 1456]).unwrap();
            slots.advance(position + 1);
        }
        assert!(
            slots.memory() < most / 8,
            "a burst is forgotten while the stream goes on: {}",
            slots.memory()
        );
        slots.trim();
        assert!(slots.memory() < 4_000, "{}", slots.memory());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn behaves_like_an_ordered_map(ops in prop::collection::vec((0u8..4, 0u64..80, 0usize..12), 1..120)) {
            let mut slots = Slots::new(48, 10);
            let mut model = BTreeMap::new();
            let mut start = 0;
            for (op, offset, len) in ops {
                let position = start + offset;
                match op {
                    0 | 1 => {
                        let payload = vec![position.to_le_bytes()[0]; len];
                        let fits = offset < 48 && len <= 10 && !model.contains_key(&position);
                        prop_assert_eq!(slots.insert(position, offset, &payload).is_ok(), fits);
                        if fits { model.insert(position, (offset, payload)); }
                    }
                    _ => {
                        start += offset / 4;
                        let before = model.len();
                        model.retain(|&at, _| at >= start);
                        prop_assert_eq!(slots.advance(start).0, before - model.len());
                    }
                }
                prop_assert_eq!(slots.len(), model.len());
                prop_assert_eq!(slots.bytes(), model.values().map(|(_, payload)| payload.len()).sum::<usize>());
                prop_assert_eq!(slots.next_occupied(position), model.range(position.max(start)..).next().map(|(at, _)| *at));
                prop_assert_eq!(slots.last_occupied(), model.keys().next_back().copied());
                for (at, (note, payload)) in &model {
                    prop_assert_eq!(slots.get(*at), Some((note, payload.as_slice())));
                    prop_assert!(slots.contains(*at));
                }
            }
        }
    }
}
