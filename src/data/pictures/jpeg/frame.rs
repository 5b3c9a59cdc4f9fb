//! What the header of a frame says of a JPEG file (ITU-T T.81, B.2.2): its kind, its size, its components.

use super::Fault;

/// How the pixels are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// Each block at once: baseline, and extended to more tables.
    Sequential,
    /// Each block in several scans, bit by bit.
    Progressive,
}

/// What a file holds of its pixels.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) process: Process,
    /// Rows and columns of the picture.
    pub(super) size: [usize; 2],
    /// The largest sampling factors.
    pub(super) most: [usize; 2],
    /// Rows and columns of the units that hold the blocks of all components.
    pub(super) units: [usize; 2],
    pub(super) components: Vec<Component>,
}

/// One of the values of a pixel, as brightness or the share of blue.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) name: u8,
    /// Rows and columns of its blocks in a unit.
    pub(super) sampling: [usize; 2],
    /// Which table its steps of quantisation are in.
    pub(super) table: usize,
    /// Rows and columns of its samples.
    pub(super) size: [usize; 2],
    /// Rows and columns of the blocks that hold them.
    pub(super) blocks: [usize; 2],
}

/// The frame whose header has this marker and this content; refused by its kind if it is none that is read here.
pub(super) fn frame(marker: u8, segment: &[u8]) -> Result<Frame, Fault> {
    let process = process(marker)?;
    let [precision, high, low, wide, narrow, count, rest @ ..] = segment else {
        return Err(Fault::Damaged("a header without a size"));
    };
    if *precision != 8 {
        return Err(Fault::other_kind(format!("of {precision}-bit values")));
    }
    let size = [[*high, *low], [*wide, *narrow]].map(|side| usize::from(u16::from_be_bytes(side)));
    if size[0] == 0 {
        return Err(Fault::other_kind("whose height stands behind its pixels (DNL)"));
    }
    if size[1] == 0 {
        return Err(Fault::Damaged("a width of 0"));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(Fault::other_kind(format!("of {count} components")));
    }
    let (components, []) = rest.as_chunks::<3>() else {
        return Err(Fault::Damaged("a header of another length"));
    };
    if components.len() != usize::from(*count) {
        return Err(Fault::Damaged("a header of another length"));
    }
    let samplings: Vec<[usize; 2]> =
        components.iter().map(|&[_, factors, _]| [factors & 15, factors >> 4].map(usize::from)).collect();
    if samplings.as_flattened().iter().any(|factor| !(1..=4).contains(factor)) {
        return Err(Fault::Damaged("a sampling factor that is not 1 to 4"));
    }
    let most = [0, 1].map(|axis| samplings.iter().map(|sampling| sampling[axis]).max().unwrap_or(1));
    for sampling in &samplings {
        if [0, 1].iter().any(|&axis| most[axis] % sampling[axis] != 0) {
            return Err(Fault::other_kind(format!(
                "with a component sampled {} x {} times where another is {} x {} times",
                sampling[1], sampling[0], most[1], most[0]
            )));
        }
    }
    let each = |f: &dyn Fn(usize) -> usize| [f(0), f(1)];
    let components = components.iter().zip(samplings).map(|(&[name, _, table], sampling)| Component {
        name,
        sampling,
        table: usize::from(table),
        size: each(&|axis| (size[axis] * sampling[axis]).div_ceil(most[axis])),
        blocks: each(&|axis| (size[axis] * sampling[axis]).div_ceil(8 * most[axis])),
    });
    let components: Vec<Component> = components.collect();
    let units = each(&|axis| size[axis].div_ceil(8 * most[axis]));
    Ok(Frame { process, size, most, units, components })
}

/// How the frames of a marker are coded (table B.1), if that is read here.
fn process(marker: u8) -> Result<Process, Fault> {
    let kind = match marker {
        0xc0 | 0xc1 => return Ok(Process::Sequential),
        0xc2 => return Ok(Process::Progressive),
        0xc3 => "coded without loss",
        0xc9 | 0xca => "with arithmetic coding",
        0xcb => "coded without loss, with arithmetic coding",
        _ => "of several frames (hierarchical)",
    };
    Err(Fault::other_kind(kind))
}

/// Whether a marker is that of a frame's header, or says that several will come.
pub(super) fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xde)
}
