"""Pages as they are written, and as a browser without a network shows them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.analysis.map_series import write_series
from cryojax_het.commands.compare import CompareConfig, run_compare
from cryojax_het.commands.report import ReportConfig, run_report
from cryojax_het.commands.report_against import beside
from cryojax_het.particles.mrc import read_volume
from cryojax_het.report.page_blobs import unpacked
from cryojax_het.results.run import RunFolder, RunRecord, open_run

from .synthetic_run import PIXEL, write_synthetic_run
from .written_page import FLAGS, pixels, read_page

pytest.importorskip("plotly", reason="pages need plotly: pip install 'cryojax_het[report]'")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a linear model with clusters, scores, an embedding and maps that are not its own."""
    run = write_synthetic_run(tmp_path_factory.mktemp("synthetic"))
    analysis = RunFolder(run.path).folder("analysis")
    count = len(run.latent)
    mean = RunFolder(run.path).volume("mean").data
    shifted = lambda latent: (np.roll(mean, int(k), axis=2) for k in np.arange(len(latent)))
    points = np.linspace([-1.0, 0.0], [1.0, 0.5], 4)
    write_series(analysis / "bootstrap", points, shifted, (PIXEL,) * 3)
    (analysis / "clusters").mkdir()
    np.save(analysis / "clusters" / "labels.npy", np.arange(count) % 3)
    (analysis / "embeddings").mkdir()
    np.save(analysis / "embeddings" / "umap.npy", run.latent.astype(np.float32))
    return run


@pytest.fixture(scope="module")
def page(run):
    """The page of that run."""
    return run_report(ReportConfig(run=run.path))


def test_columns_are_those_of_the_run(run, page):
    found = read_page(page)
    latent = np.asarray(RunFolder(run.path).latents().read("conformation"))
    for k in range(2):
        values = found.column(f"latent_{k + 1}")
        np.testing.assert_allclose(values, latent[:, k], atol=np.ptp(latent[:, k]) / 1e5)
    np.testing.assert_array_equal(found.column("cluster"), np.arange(len(latent)) % 3)
    assert found.content["particles"]["axes"] == ["latent_1", "latent_2"]
    names = {column["name"] for column in found.content["particles"]["columns"]}
    assert {"umap_1", "rot", "tilt", "defocus", "contrast", "gain", "latent_1_sd"} <= names


def test_the_map_of_an_image_is_the_models(run, page):
    """Put together as the browser does it, from eight bits of mean and components."""
    found = read_page(page)
    maps, at = found.content["maps"], found.content["maps"]["at"]
    assert at["kind"] == "combination"
    assert maps["exact"]

    def entry(number):
        about = maps["entries"][number]
        codes = np.frombuffer(unpacked(found.blobs[about["blob"]]), np.uint8)
        return about["offset"] + about["scale"] * codes.reshape(maps["shape"])

    row = 17
    weights = [found.column(name)[row] for name in at["columns"]]
    mixed = entry(at["mean"]) + sum(w * entry(p) for w, p in zip(weights, at["parts"], strict=True))
    mean, parts = (np.asarray(run.volume.mean.voxels), np.asarray(run.volume.components.voxels))
    latent = np.asarray(RunFolder(run.path).latents().read("conformation"))[row]
    exact = mean + np.tensordot(latent, parts, axes=1)
    # Twice as fine, and the whole box: every second voxel is one of the run's.
    assert maps["shape"] == [48, 48, 48]
    np.testing.assert_allclose(mixed[::2, ::2, ::2], exact, atol=0.03 * exact.max())


def test_rows_of_the_particle_file_are_there_byte_for_byte(run, page):
    found = read_page(page)
    rows = found.content["rows"]
    whole = b"".join(unpacked(found.blobs[rows[part]]) for part in ("head", "body", "tail"))
    strip = lambda text: [line.rstrip() for line in text.splitlines() if line.strip()]
    assert strip(whole.decode()) == strip(run.star.read_text())


def test_a_run_made_from_another_shows_the_latents_of_that(run, tmp_path):
    config = {"run": str(run.path)}
    inputs = [run.path / "run.json"]
    record = RunRecord(command=["cryojax-het", "free-energy"], seed=0, inputs=inputs)
    made = open_run(tmp_path / "energy", config, record)
    made.finish({})
    made.latents().create("path_log_likelihood", (len(run.latent), 5), 0.0)
    found = read_page(run_report(ReportConfig(run=made.path, images=0))).content
    assert found["particles"]["axes"] == ["latent_1", "latent_2"]
    assert found["latents"] == ["latent_1", "latent_2"]


def test_a_run_without_an_analysis_says_what_adds_it(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "bare")
    shutil.rmtree(copy / "analysis")
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | {"status": "running"}))
    config = (copy / "config.toml").read_text().replace('"linear"', '"gaussians"')
    (copy / "config.toml").write_text(config)
    content = read_page(run_report(ReportConfig(run=copy, images=0))).content
    notes = " ".join(content["notes"])
    assert "cryojax-het analyse" in notes
    assert "not finished" in notes
    assert content["maps"]["at"]["kind"] == "single"


def test_a_run_whose_images_are_gone_still_has_its_page(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "gone")
    content = read_page(
        run_report(ReportConfig(run=copy, particles=tmp_path / "nowhere.star"))
    ).content
    assert content["rows"] is None
    assert any("--particles" in note for note in content["notes"])


def test_settings_out_of_range_are_refused(run):
    with pytest.raises(ValueError, match="--voxels"):
        ReportConfig(run=run.path, voxels=100)
    with pytest.raises(ValueError, match="two runs"):
        CompareConfig(runs=(run.path,))


def _turned(run, folder):
    """The same run, its latents in another gauge: components change places and sign."""
    copy = shutil.copytree(run.path, folder)
    table = RunFolder(copy).latents()
    latent = np.array(table.read("conformation"))
    rows = np.arange(len(latent))
    table.write("conformation", rows, -latent[:, ::-1])
    table.write(
        "conformation_covariance",
        rows,
        np.array(table.read("conformation_covariance"))[:, ::-1, ::-1],
    )
    for one, other in ((1, 2), (2, 1)):
        volume = read_volume(run.path / "volumes" / f"component_{other:02d}.mrc")
        volume = type(volume)(-volume.data, volume.voxel_size)
        RunFolder(copy).write_volume(f"component_{one:02d}", volume)
    return copy


def test_a_run_in_another_gauge_agrees_wholly(run, tmp_path):
    other = _turned(run, tmp_path / "turned")
    found = beside(run.path, [other], None)
    (section,) = found.sections
    charts = {chart["title"]: np.array(chart["values"], float) for chart in section["charts"]}
    assert charts["Neighbours in common"][0, 1] == pytest.approx(1.0)
    assert 0 < charts["Neighbours in common"][0, 0] < 1
    assert charts["What maps change by, image by image"][0, 1] == pytest.approx(1.0, abs=1e-3)
    assert found.apart is not None
    assert np.abs(found.apart).max() < 1e-3
    page = run_compare(CompareConfig(runs=(run.path, other), output=tmp_path / "compare.html"))
    content = read_page(page).content
    assert [section["id"] for section in content["sections"]] == ["agreement", "images", "runs"]
    assert any("in each run" in series["label"] for series in content["series"])


def test_runs_on_other_images_are_refused(run, tmp_path):
    fewer = write_synthetic_run(tmp_path, count=120, junk=0)
    with pytest.raises(ValueError, match="same images"):
        beside(run.path, [fewer.path], None)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skips where it or playwright is absent."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if path is None:
        pytest.skip("no chromium on the PATH: pages are not opened")
    with api.sync_playwright() as running:
        found = running.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def opened(browser, page):
    """The page in a window, and all that it said or asked for."""
    window = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    window.set_default_timeout(90_000)
    said, asked = [], []
    window.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    window.on("pageerror", lambda error: said.append(str(error)))
    window.on("request", lambda request: asked.append(request.url))
    window.goto(page.as_uri())
    window.wait_for_function("document.documentElement.dataset.ready")
    return window, said, asked


def test_it_loads_without_errors_or_a_network(opened, page):
    window, said, asked = opened
    assert asked == [page.as_uri()]
    for place in range(0, 6000, 600):
        window.evaluate(f"window.scrollTo(0, {place})")
        window.wait_for_timeout(50)
    window.wait_for_timeout(500)
    assert said == []
    assert window.locator("section h2").count() >= 4
    assert asked == [page.as_uri()]


def test_the_viewer_draws_and_the_slider_moves_through_states(opened):
    window = opened[0]
    window.locator("select").last.select_option(label="bootstrap")
    slider = window.locator('input[aria-label="State along the series"]')
    place = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
    shown = []
    for value in ("0", "1.5", "3"):
        slider.evaluate(place, value)
        shown.append(pixels(window))
        assert shown[-1].std() > 5  # something is drawn,
    assert np.mean(shown[0] == 0) > 0.2  # on an empty ground
    assert np.mean(shown[0] != shown[2]) > 0.02
    assert np.mean(shown[0] != shown[1]) > 0.02
    slider.evaluate(place, "0")
    np.testing.assert_array_equal(pixels(window), shown[0])


def test_a_click_shows_the_map_of_an_image(opened):
    window = opened[0]
    before = pixels(window)
    window.locator(".plot").scroll_into_view_if_needed()
    box = window.locator(".walk").bounding_box()
    window.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    window.wait_for_function("document.querySelector('.said').textContent.includes('Exact')")
    assert np.mean(pixels(window) != before) > 0.02


def test_a_selection_is_saved_as_the_rows_of_the_particle_file(opened, run, tmp_path):
    from gemmi import cif

    window = opened[0]
    window.locator(".plot").scroll_into_view_if_needed()
    window.get_by_role("button", name="Box").click()
    box = window.locator(".plot").bounding_box()
    start, end = (0.25, 0.2), (0.6, 0.7)
    at = lambda p: (box["x"] + p[0] * box["width"], box["y"] + p[1] * box["height"])
    window.mouse.move(*at(start))
    window.mouse.down()
    for share in (0.3, 0.6, 1.0):
        window.mouse.move(*at(tuple(a + share * (b - a) for a, b in zip(start, end, strict=True))))
        window.wait_for_timeout(120)
    window.mouse.up()
    window.wait_for_function("window.report.explorer.selection.rows.length > 0")
    f = window.evaluate("window.report.explorer.scatter.frame()")
    latent = np.asarray(RunFolder(run.path).latents().read("conformation"))
    spot = [
        (latent[:, 0] - f["x"][0]) / (f["x"][1] - f["x"][0]) * f["width"] + f["left"],
        (f["y"][1] - latent[:, 1]) / (f["y"][1] - f["y"][0]) * f["height"] + f["top"],
    ]
    place = np.stack(spot, axis=1) / [box["width"], box["height"]]
    inside = np.flatnonzero(((place > start) & (place < end)).all(axis=1))
    rows = window.evaluate("window.report.explorer.selection.rows")
    # Within a pixel of the edge either answer is right.
    assert len(set(rows) ^ set(inside.tolist())) <= 3
    assert 10 < len(rows) < len(latent)
    with window.expect_download() as waiting:
        window.get_by_role("button", name="Save as STAR").click()
    saved = tmp_path / "picked.star"
    waiting.value.save_as(saved)
    names = lambda path: list(
        next(b for b in cif.read_file(str(path)) if b.find_loop("_rlnImageName")).find_loop(
            "_rlnImageName"
        )
    )
    everything = names(run.star)
    assert names(saved) == [everything[row] for row in rows]
    with window.expect_download() as waiting:
        window.get_by_role("button", name="Save row numbers").click()
    assert [int(line) for line in Path(waiting.value.path()).read_text().split()] == rows


def test_a_class_of_the_legend_is_selected(opened):
    window = opened[0]
    window.locator(".legend button").nth(1).click()
    window.wait_for_function("window.report.explorer.selection.rows.length === 100")
    assert all(row % 3 == 1 for row in window.evaluate("window.report.explorer.selection.rows"))
