//! From the bits of a scan to coefficients (ITU-T T.81, annexes F.2 and G.2).

use super::Fault;
use super::frame::{Component, Frame, Process};
use super::huffman::{Bits, Code};
use super::transform::{self, ZIGZAG};

/// What has been read of a component.
#[derive(Debug)]
pub(super) struct Plane {
    /// The samples of its blocks, row by row; of a progressive file none before all is read.
    pub(super) samples: Vec<u8>,
    /// Of a progressive file: the coefficients of its blocks, each block by itself.
    coefficients: Vec<i16>,
    /// The steps of quantisation, as they were in its first scan.
    steps: Option<[u16; 64]>,
    /// How many of the lowest bits of each coefficient, in the order of the file, are missing; [`NONE_YET`] before its first scan.
    missing: [u8; 64],
}

/// Nothing of a coefficient has been read.
const NONE_YET: u8 = u8::MAX;

impl Plane {
    pub(super) fn new(component: &Component, process: Process) -> Plane {
        let values = 64 * component.blocks[0] * component.blocks[1];
        let of = |kind| if process == kind { values } else { 0 };
        Plane {
            samples: vec![0; of(Process::Sequential)],
            coefficients: vec![0; of(Process::Progressive)],
            steps: None,
            missing: [NONE_YET; 64],
        }
    }

    /// Whether all its coefficients have been read to the last bit.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == [0; 64]
    }

    /// Makes samples of what was kept as coefficients.
    pub(super) fn finish(&mut self, component: &Component) {
        if self.coefficients.is_empty() {
            return;
        }
        let stride = 8 * component.blocks[1];
        let steps = self.steps.expect("a component that was read has steps");
        self.samples = vec![0; self.coefficients.len()];
        for (i, block) in self.coefficients.as_chunks().0.iter().enumerate() {
            let (row, column) = (i / component.blocks[1], i % component.blocks[1]);
            transform::samples(block, &steps, &mut self.samples[8 * (row * stride + column)..], stride);
        }
        self.coefficients = Vec::new();
    }
}

/// What scans are read with: the tables that stand in front of them.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) steps: [Option<[u16; 64]>; 4],
    /// For the coefficients 0.
    pub(super) first: [Option<Code>; 4],
    /// For the others.
    pub(super) others: [Option<Code>; 4],
    /// Units between two restart markers, 0 if there are none.
    pub(super) restart: usize,
}

/// The header of a scan.
struct Scan<'a> {
    parts: Vec<ScanComponent<'a>>,
    /// The first and the last of the coefficients in it.
    band: [usize; 2],
    /// How many of their lowest bits were missing before, if they were read before.
    before: Option<u8>,
    /// How many are missing behind it.
    missing: u8,
}

/// A component in a scan.
struct ScanComponent<'a> {
    component: usize,
    first: Option<&'a Code>,
    others: Option<&'a Code>,
}

impl<'a> Scan<'a> {
    fn new(segment: &[u8], frame: &Frame, tables: &'a Tables) -> Result<Scan<'a>, Fault> {
        let damaged = Fault::Damaged("the header of a scan that cannot be");
        let [count @ 1..=4, rest @ ..] = segment else { return Err(damaged) };
        let Some((selectors, &[from, to, bits])) = rest.split_at_checked(2 * usize::from(*count)) else {
            return Err(damaged);
        };
        let mut parts: Vec<ScanComponent<'_>> = Vec::new();
        for &[name, codes] in selectors.as_chunks().0 {
            let component = frame.components.iter().position(|component| component.name == name);
            let component = component.ok_or(Fault::Damaged("a scan of a component that it does not have"))?;
            if parts.iter().any(|part| part.component == component) {
                return Err(damaged);
            }
            let of = |codes: &'a [Option<Code>; 4], i: u8| codes.get(usize::from(i)).and_then(Option::as_ref);
            let (first, others) = (of(&tables.first, codes >> 4), of(&tables.others, codes & 15));
            parts.push(ScanComponent { component, first, others });
        }
        let (band, high, missing) = match frame.process {
            // As in libjpeg, whatever the header says of them.
            Process::Sequential => ([0, 63], 0, 0),
            Process::Progressive => ([from, to].map(usize::from), bits >> 4, bits & 15),
        };
        let is_band = match band {
            [0, last] => last == 0 || frame.process == Process::Sequential,
            [first, last] => first <= last && last < 64 && parts.len() == 1,
        };
        let before = (high > 0).then_some(high);
        if !is_band || missing > 13 || before.is_some_and(|before| before != missing + 1) {
            return Err(damaged);
        }
        let has_codes = |part: &ScanComponent<'_>| {
            (part.first.is_some() || band[0] > 0 || before.is_some())
                && (part.others.is_some() || band[1] == 0)
        };
        if !parts.iter().all(has_codes) {
            return Err(Fault::other_kind("without its Huffman codes, as in films"));
        }
        Ok(Scan { parts, band, before, missing })
    }
}

/// Reads the scan with this header, whose bits begin `bytes`, into the planes of its components, and says where they end.
pub(super) fn read(
    segment: &[u8],
    bytes: &[u8],
    frame: &Frame,
    tables: &Tables,
    planes: &mut [Plane],
) -> Result<usize, Fault> {
    let scan = Scan::new(segment, frame, tables)?;
    for part in &scan.parts {
        let plane = &mut planes[part.component];
        let table = tables.steps.get(frame.components[part.component].table);
        let steps = table.copied().flatten().ok_or(Fault::Damaged("no table of quantisation"))?;
        plane.steps.get_or_insert(steps);
        for missing in &mut plane.missing[scan.band[0]..=scan.band[1]] {
            if *missing != scan.before.unwrap_or(NONE_YET) {
                return Err(Fault::Damaged("scans in an order that cannot be"));
            }
            *missing = scan.missing;
        }
    }
    let mut bits = Bits::new(bytes);
    let mut state = State::default();
    let alone = scan.parts.len() == 1;
    let [rows, columns] = if alone { frame.components[scan.parts[0].component].blocks } else { frame.units };
    for unit in 0..rows * columns {
        if tables.restart > 0 && unit > 0 && unit % tables.restart == 0 {
            bits.restart(((unit / tables.restart - 1) % 8) as u8)?;
            state = State::default();
        }
        for part in &scan.parts {
            let component = &frame.components[part.component];
            let [high, wide] = if alone { [1, 1] } else { component.sampling };
            for block in 0..high * wide {
                let row = unit / columns * high + block / wide;
                let column = unit % columns * wide + block % wide;
                let plane = &mut planes[part.component];
                let is_there = row < component.blocks[0] && column < component.blocks[1];
                let mut spare = [0; 64];
                if frame.process == Process::Progressive {
                    let place = 64 * (row * component.blocks[1] + column);
                    let kept = plane.coefficients.get_mut(place..).filter(|_| is_there);
                    let block = kept.and_then(|kept| kept.first_chunk_mut()).unwrap_or(&mut spare);
                    progressive(&mut bits, &scan, part, &mut state, block)?;
                } else {
                    sequential(&mut bits, part, &mut state, &mut spare)?;
                    if is_there {
                        let (steps, stride) =
                            (plane.steps.as_ref().expect("set above"), 8 * component.blocks[1]);
                        let samples = &mut plane.samples[8 * (row * stride + column)..];
                        transform::samples(&spare, steps, samples, stride);
                    }
                }
            }
        }
    }
    bits.end()
}

/// What a block leaves to the next.
#[derive(Default)]
struct State {
    /// The coefficient 0 of each component, as it was last.
    last: [i32; 4],
    /// How many blocks have no further coefficients in this band.
    empty: u32,
}

/// The code of the coefficients 0 is there, or the scan was refused.
const HAS_CODES: &str = "a scan has its codes";

/// The difference of a coefficient 0 to the one before, added to it.
fn first(bits: &mut Bits<'_>, part: &ScanComponent<'_>, state: &mut State) -> Result<i32, Fault> {
    let size = u32::from(bits.symbol(part.first.expect(HAS_CODES))?);
    if size > 11 {
        return Err(Fault::Damaged("a brightness that cannot be"));
    }
    let last = &mut state.last[part.component];
    *last = last.wrapping_add(bits.signed(size)?);
    Ok(*last)
}

const BEYOND: Fault = Fault::Damaged("more than 64 coefficients of a block");

/// A whole block (F.2.2).
fn sequential(
    bits: &mut Bits<'_>,
    part: &ScanComponent<'_>,
    state: &mut State,
    block: &mut [i16; 64],
) -> Result<(), Fault> {
    block[0] = first(bits, part, state)? as i16;
    let code = part.others.expect(HAS_CODES);
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(code)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            match zeros {
                0 => break,
                15 => at += 16,
                _ => return Err(Fault::Damaged("a run that cannot be")),
            }
            continue;
        }
        at += zeros;
        let value = bits.signed(size)?;
        block[usize::from(*ZIGZAG.get(at).ok_or(BEYOND)?)] = value as i16;
        at += 1;
    }
    Ok(())
}

/// A band of a block's coefficients, or a further bit of them (G.2).
fn progressive(
    bits: &mut Bits<'_>,
    scan: &Scan<'_>,
    part: &ScanComponent<'_>,
    state: &mut State,
    block: &mut [i16; 64],
) -> Result<(), Fault> {
    let one = 1_i16 << scan.missing;
    match (scan.band, scan.before) {
        ([0, _], None) => block[0] = (first(bits, part, state)? << scan.missing) as i16,
        ([0, _], Some(_)) => {
            if bits.bit()? {
                block[0] |= one;
            }
        }
        (band, None) => band_first(bits, band, scan.missing, part, state, block)?,
        (band, Some(_)) => band_further(bits, band, one, part, state, block)?,
    }
    Ok(())
}

/// How many blocks from this one on a symbol says to have no further coefficients; it is no run of 16 zeros.
fn empty_blocks(bits: &mut Bits<'_>, size: usize) -> Result<u32, Fault> {
    Ok((1 << size) + bits.number(size as u32)?)
}

/// The highest bits of a band (G.1.2.2).
fn band_first(
    bits: &mut Bits<'_>,
    [mut at, last]: [usize; 2],
    missing: u8,
    part: &ScanComponent<'_>,
    state: &mut State,
    block: &mut [i16; 64],
) -> Result<(), Fault> {
    if state.empty > 0 {
        state.empty -= 1;
        return Ok(());
    }
    let code = part.others.expect(HAS_CODES);
    while at <= last {
        let symbol = bits.symbol(code)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => at += 16,
            (zeros, 0) => {
                state.empty = empty_blocks(bits, zeros)? - 1;
                break;
            }
            (zeros, size) => {
                at += zeros;
                if at > last {
                    return Err(BEYOND);
                }
                block[usize::from(ZIGZAG[at])] = (bits.signed(size)? << missing) as i16;
                at += 1;
            }
        }
    }
    Ok(())
}

/// A further bit of a band (G.1.2.3).
fn band_further(
    bits: &mut Bits<'_>,
    [mut at, last]: [usize; 2],
    one: i16,
    part: &ScanComponent<'_>,
    state: &mut State,
    block: &mut [i16; 64],
) -> Result<(), Fault> {
    let code = part.others.expect(HAS_CODES);
    while at <= last && state.empty == 0 {
        let symbol = bits.symbol(code)?;
        let (mut zeros, size) = (usize::from(symbol >> 4), symbol & 15);
        let value = match (zeros, size) {
            (15, 0) => 0,
            (_, 0) => {
                state.empty = empty_blocks(bits, zeros)?;
                break;
            }
            (_, 1) => {
                if bits.bit()? {
                    one
                } else {
                    -one
                }
            }
            _ => return Err(Fault::Damaged("a further bit of several")),
        };
        // Coefficients that are not 0 get their bit on the way to the place of the new one.
        loop {
            let Some(place) = (at <= last).then(|| usize::from(ZIGZAG[at])) else {
                if value == 0 {
                    break;
                }
                return Err(BEYOND);
            };
            at += 1;
            if block[place] != 0 {
                further(bits, one, &mut block[place])?;
            } else if zeros == 0 {
                block[place] = value;
                break;
            } else {
                zeros -= 1;
            }
        }
    }
    if state.empty > 0 {
        for &place in &ZIGZAG[at..=last] {
            if block[usize::from(place)] != 0 {
                further(bits, one, &mut block[usize::from(place)])?;
            }
        }
        state.empty -= 1;
    }
    Ok(())
}

/// The next bit of a coefficient that is not 0, away from 0.
fn further(bits: &mut Bits<'_>, one: i16, coefficient: &mut i16) -> Result<(), Fault> {
    if bits.bit()? && *coefficient & one == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { one } else { -one });
    }
    Ok(())
}
