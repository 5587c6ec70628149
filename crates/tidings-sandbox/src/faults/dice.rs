/// A number in 0..1 that depends on nothing but the seed, the rule and how often it was asked: so a rule strikes the same
/// calls in every run, whatever other accounts do in between. (SplitMix64's finish.)
pub(crate) fn dice(seed: u64, rule: usize, asked: u64) -> f64 {
    let mut x = seed
        ^ asked.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (rule as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    // 53 bits are what an f64 holds exactly.
    (x >> 11) as f64 / (1u64 << 53) as f64
}
