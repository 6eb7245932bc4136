//! Seeded normal noise that equals PyTorch's CPU generator, so that a seed means the same thing here as in diffusers and ComfyUI.

use std::f64::consts::TAU;

const WORDS: usize = 624;
const MIDDLE: usize = 397;
/// Box-Muller works on blocks of this many values; shorter requests take a different path in PyTorch.
const BLOCK: usize = 16;

/// A stream of random numbers: Mersenne Twister 19937, seeded and read as `torch.Generator("cpu")` does.
///
/// ```
/// let mut generator = wan_animate::unversioned::rng::Generator::new(42);
/// let noise = generator.normal(4);
/// assert!((noise[0] - 0.33669037).abs() < 1e-6); // torch.randn(4, generator=torch.Generator().manual_seed(42))[0]
/// ```
#[derive(Debug, Clone)]
pub struct Generator {
    state: [u32; WORDS],
    next: usize,
    spare: Option<f64>,
}

impl Generator {
    /// Same as `torch.Generator("cpu").manual_seed(seed)`.
    ///
    /// As in PyTorch only the low 32 bits count. A negative seed of PyTorch is its two's complement: `-1` is `u64::MAX`.
    pub fn new(seed: u64) -> Self {
        let mut state = [0u32; WORDS];
        state[0] = seed as u32;
        for i in 1..WORDS {
            let previous = state[i - 1];
            state[i] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: WORDS, spare: None }
    }

    /// Where the stream stands, for [`Generator::from_words`].
    pub fn words(&self) -> Vec<u32> {
        let spare = self.spare.unwrap_or_default().to_bits();
        let tail = [self.next as u32, u32::from(self.spare.is_some()), spare as u32, (spare >> 32) as u32];
        self.state.iter().copied().chain(tail).collect()
    }

    /// A stream that goes on where the one of these [`words`](Generator::words) stood; none where they are no stream's.
    pub fn from_words(words: &[u32]) -> Option<Self> {
        let (state, tail) = words.split_first_chunk::<WORDS>()?;
        let &[next, has_spare @ 0..=1, low, high] = tail else { return None };
        let spare = f64::from_bits(u64::from(low) | u64::from(high) << 32);
        let next = usize::try_from(next).ok().filter(|&next| next <= WORDS)?;
        Some(Self { state: *state, next, spare: (has_spare == 1).then_some(spare) })
    }

    /// `len` values of the standard normal distribution: `torch.randn(len, generator=self, dtype=torch.float32)`.
    ///
    /// Further calls go on where the last one stopped, also as PyTorch does. The values agree with PyTorch's to 1e-6, not to the bit:
    /// its logarithm and sine in single precision differ between processors, while these are rounded from double precision.
    pub fn normal(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            return (0..len).map(|_| self.scalar_normal() as f32).collect();
        }
        let mut values: Vec<f32> = (0..len).map(|_| self.uniform_f32()).collect();
        values.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !len.is_multiple_of(BLOCK) {
            // The ragged end is not completed: the last whole block is drawn anew over it.
            let last = &mut values[len - BLOCK..];
            last.fill_with(|| self.uniform_f32());
            box_muller(last);
        }
        values
    }

    /// One value by Box-Muller in double precision; its twin waits for the next call.
    fn scalar_normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let angle = TAU * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Uniform in [0, 1): 24 random bits.
    fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() & 0x00FF_FFFF) as f32 / 16_777_216.0
    }

    /// Uniform in [0, 1): 53 random bits of two words, the high word drawn first.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let word = (high << 32) | u64::from(self.next_u32());
        (word & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9D2C_5680;
        word ^= (word << 15) & 0xEFC6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7FFF_FFFF);
            let odd = if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + MIDDLE) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// Turns a block of uniform values into normal ones: the first half holds radii and receives cosines, the second angles and sines.
fn box_muller(block: &mut [f32]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (first, second) in radii.iter_mut().zip(angles) {
        // Rounded to f32 where PyTorch rounds: the angle's rounding alone moves a value by up to 1e-6.
        let radius = (-2.0 * f64::from(1.0 - *first).ln() as f32).sqrt();
        let angle = f64::from(std::f32::consts::TAU * *second);
        *first = radius * angle.cos() as f32;
        *second = radius * angle.sin() as f32;
    }
}
