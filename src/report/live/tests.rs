//! What the page holds is compared with what the model and its latents are.

use super::*;
use crate::experiments::pca::Plane;
use crate::report::generated::tests::digits as narrow_digits;
use serde_json::Value;

/// Two of each class.
fn digits(more: &[&str]) -> (Model, Params, Split) {
    narrow_digits(&[&["data.per_class=2", "train.batch=4"], more].concat())
}

fn data_of((model, params, split): &(Model, Params, Split)) -> Value {
    serde_json::from_str(&live(model, params, split).unwrap().data).unwrap()
}

/// The numbers of the page that are no weights, from those of the latents on.
fn of_latents(data: &Value) -> Vec<f32> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let text = data["numbers"].as_str().unwrap().trim_end_matches('=');
    let bits: Vec<u8> =
        text.bytes().flat_map(|letter| (0..6).rev().map(move |bit| digit(letter) >> bit & 1)).collect();
    let number = |bits: &[u8]| {
        let bytes: Vec<u8> =
            bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
        f32::from_le_bytes(bytes.try_into().unwrap())
    };
    let numbers: Vec<f32> = bits.chunks_exact(32).map(number).collect();
    let layers = ["decoder", "classifier"].into_iter().flat_map(|network| data[network].as_array().unwrap());
    let of_layer = |layer: &Value| {
        let outputs = layer["output"][2].as_u64().unwrap_or(0) as usize;
        if layer["scaled"] == true { 2 * outputs } else { outputs }
    };
    numbers[layers.map(of_layer).sum::<usize>()..].to_vec()
}

#[test]
fn means_priors_and_directions_are_those_of_the_model() {
    for kind in ["diva", "diva-no-zx", "vae"] {
        let made = digits(&[&format!("model.kind={kind}")]);
        let (model, params, split) = &made;
        let data = data_of(&made);
        let numbers = of_latents(&data);
        let mut rest = &numbers[..];
        let mut next = |count: usize| rest.split_off(..count).unwrap();
        let shown = images::chosen(split);
        let encoded = latents::encode(model, params, &shown, "shown").unwrap();
        let variables = model.latent_variables().unwrap();
        assert_eq!(data["latents"].as_array().unwrap().len(), encoded.len());
        for ((described, encoded), latent) in
            data["latents"].as_array().unwrap().iter().zip(&encoded).zip(variables.latents())
        {
            assert_eq!(described["name"], encoded.name);
            assert_eq!(next(encoded.means.data().len()), encoded.means.data());
            let labels = variables.labels(latent).unwrap_or(0);
            assert_eq!(described["priors"], labels);
            if labels > 0 {
                let (engine, all) = (Engine::new(), (0..labels as u32).collect());
                let tape = Tape::inference(&engine, params);
                let expected = variables.prior(&tape, latent, &all).mean.read(<[f32]>::to_vec);
                assert_eq!(next(expected.len()), expected, "{kind}");
            }
            let (plane, size) = (Plane::of(&encoded.means), encoded.means.shape().columns());
            let as_f32 = |numbers: &[f64]| numbers.iter().map(|&x| x as f32).collect::<Vec<_>>();
            assert_eq!(next(size), as_f32(&plane.mean));
            let directions = described["directions"].as_u64().unwrap() as usize;
            assert_eq!(directions, 9 / encoded_count(&data));
            let axes = next(directions * size);
            plane
                .axes
                .iter()
                .zip(axes.chunks_exact(size))
                .for_each(|(axis, found)| assert_eq!(found, as_f32(axis)));
            let deviations = next(directions);
            for (deviation, variance) in deviations.iter().zip(plane.variances) {
                assert!((f64::from(*deviation) - variance.sqrt()).abs() < 1e-6 * variance.sqrt());
            }
            assert!(deviations.is_sorted_by(|a, b| a >= b) && described["dimensions"] == false);
        }
        assert!(next(0).is_empty() && rest.is_empty(), "{kind}: {} numbers are left", rest.len());
    }
}

fn encoded_count(data: &Value) -> usize {
    data["latents"].as_array().unwrap().len()
}

#[test]
fn latents_of_two_dimensions_are_shown_as_they_are() {
    let data = data_of(&digits(&["model.latent=2"]));
    let numbers = of_latents(&data);
    let images = data["classOf"].as_array().unwrap().len();
    assert_eq!(
        (&data["latents"][0]["directions"], &data["latents"][0]["dimensions"]),
        (&2.into(), &true.into())
    );
    // After the means of the posteriors, of two priors and of all.
    assert_eq!(numbers[2 * images + 4 + 2..][..4], [1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn names_close_no_element() {
    let mut made = digits(&[]);
    let nasty = "</script><b>&\u{202e}\u{2028}\"";
    made.2.class_names[3] = nasty.into();
    made.2.test_domain = nasty.into();
    let found = live(&made.0, &made.1, &made.2).unwrap();
    assert!(!found.data.contains('<') && !found.data.contains('\u{2028}'));
    let data: Value = serde_json::from_str(&found.data).unwrap();
    let shown = "\u{2068}</script><b>&\\u{202e}\\u{2028}\"\u{2069}";
    assert_eq!(
        (&data["classes"][3], &data["domains"][2]),
        (&shown.into(), &format!("{shown}, unseen").into())
    );
}

#[test]
fn without_a_decoder_or_with_numbers_that_are_none_there_is_nothing() {
    let (model, params, split) = digits(&["model.kind=classifier"]);
    assert_eq!(live(&model, &params, &split).unwrap_err(), "the model has no decoder");
    let (model, mut params, split) = digits(&[]);
    let weight = params.find("px.de3.0.weight").unwrap();
    params.get_mut(weight)[5] = f32::NAN;
    assert_eq!(live(&model, &params, &split).unwrap_err(), "a number of the decoder is not finite");
}

/// More than 2^18 weights, one of which 16 bits do not hold, or move by whole levels.
#[test]
fn weights_that_16_bits_would_change_keep_32() {
    let wide = digits(&["model.decoder_width=0.5"]);
    assert_eq!(data_of(&wide)["bits"], 16);
    let (model, mut params, split) = wide;
    let weight = params.find("px.de1.0.weight").unwrap();
    let before = params.get(weight)[0];
    params.get_mut(weight)[0] = 1e6;
    assert_eq!(data_of(&(model.clone(), params.clone(), split.clone()))["bits"], 32);
    // A step of 16 bits is 32 here, and each logit follows it.
    params.get_mut(weight)[0] = before;
    let last = params.find("px.de3.0.weight").unwrap();
    params.get_mut(last).iter_mut().for_each(|weight| *weight *= 60_000.0);
    let found = live(&model, &params, &split).unwrap();
    assert!(found.notes[0].starts_with("Weights are stored with 32 bits: with 16 "), "{:?}", found.notes);
}
