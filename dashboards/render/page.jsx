// Draws the dashboard that the address names after #, with what tests/dashboards/record.py has recorded for each panel.
// Numbers, lines, bars and the frames around them are Grafana's own components; for state timelines and heat maps it
// publishes none, so they are drawn here.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import {
  applyFieldOverrides,
  createTheme,
  dateTime,
  FieldType,
  getFieldDisplayName,
  identityOverrideProcessor,
  Registry,
  ThemeContext,
  toDataFrame,
} from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } from '@grafana/ui';
import { createRoot } from 'react-dom/client';

// Grafana's grid.
const GAP = 8;
const CELL_HEIGHT = 30;
const COLUMNS = 24;
const HEADER_HEIGHT = 56;
const AXIS_HEIGHT = 20;

const TIME_ZONE = 'utc';
const theme = createTheme({ colors: { mode: 'dark' } });

const { boards, began, ended } = window.recording;
const { board, answers } = boards.find(({ board }) => board.uid === location.hash.slice(1));
const timeRange = { from: dateTime(began * 1000), to: dateTime(ended * 1000), raw: { from: 'now-5m', to: 'now' } };

// What the panel plugins would add to the fields' settings.
const CUSTOM_DEFAULTS = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  showPoints: 'auto',
  pointSize: 5,
  spanNulls: false,
  insertNulls: false,
  stacking: { mode: 'none', group: 'A' },
  axisPlacement: 'auto',
  axisLabel: '',
  scaleDistribution: { type: 'linear' },
  hideFrom: { legend: false, tooltip: false, viz: false },
  thresholdsStyle: { mode: 'off' },
  barAlignment: 0,
  barWidthFactor: 0.6,
};
const settings = ['unit', 'decimals', 'min', 'max', 'mappings', 'thresholds', 'color', 'noValue'].map((path) =>
  setting(path, path, false),
);
const customSettings = [...Object.keys(CUSTOM_DEFAULTS), 'lineStyle', 'fillBelowTo', 'axisSoftMin'].map((path) =>
  setting(`custom.${path}`, path, true),
);
const registry = new Registry(() => [...settings, ...customSettings]);

function setting(id, path, isCustom) {
  return {
    id,
    path,
    isCustom,
    name: id,
    process: identityOverrideProcessor,
    shouldApply: () => true,
    override: () => null,
    editor: () => null,
  };
}

function frames(panel) {
  const data = panel.targets.flatMap((target) =>
    answers[panel.id].series[target.refId].map((series) => frame(target, series, answers[panel.id].step_seconds)),
  );
  for (const step of panel.fieldConfig?.defaults?.thresholds?.steps ?? []) {
    step.value ??= -Infinity; // as Grafana reads it
  }
  const colourMode = panel.type === 'stat' ? 'thresholds' : 'palette-classic';
  const defaults = { color: { mode: colourMode }, ...panel.fieldConfig?.defaults };
  defaults.custom = { ...CUSTOM_DEFAULTS, ...defaults.custom };
  const fieldConfig = { defaults, overrides: panel.fieldConfig?.overrides ?? [] };
  return applyFieldOverrides({
    data,
    fieldConfig,
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: TIME_ZONE,
  });
}

function frame(target, { metric, values }, stepSeconds) {
  const name = target.legendFormat.replace(/{{(\w+)}}/g, (_, label) => metric[label] ?? '').replace(/ +/g, ' ');
  return toDataFrame({
    refId: target.refId,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        values: values.map(([when]) => when * 1000),
        config: { interval: stepSeconds * 1000 }, // where more is missing, there is a gap
      },
      {
        name: 'Value',
        type: FieldType.number,
        labels: metric,
        values: values.map(([, value]) => number(value)),
        config: { displayNameFromDS: name },
      },
    ],
  });
}

function number(text) {
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

function Lines({ panel, width, height }) {
  const data = frames(panel).filter(({ length }) => length > 0);
  if (data.length === 0) {
    return <Empty />;
  }
  return (
    <TimeSeries
      frames={data}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone={TIME_ZONE}
      legend={{ calcs: [], ...panel.options.legend }}
      options={{}}
      structureRev={1}
    />
  );
}

function Numbers({ panel, width, height }) {
  const values = frames(panel).map((one) => {
    const value = one.fields[1];
    return { ...value.display(value.values.at(-1)), title: getFieldDisplayName(value, one) };
  });
  if (values.length === 0 || values.every(({ numeric }) => Number.isNaN(numeric))) {
    return <Empty />;
  }
  const textMode = panel.options.textMode ?? 'auto';
  return (
    <VizRepeater
      getValues={() => values}
      source={values}
      width={width}
      height={height}
      orientation="auto"
      autoGrid
      itemSpacing={3}
      renderValue={({ value, width, height, count }) => (
        <BigValue
          value={textMode === 'value_and_name' ? value : { ...value, title: undefined }}
          count={count}
          width={width}
          height={height}
          theme={theme}
          colorMode={panel.options.colorMode}
          graphMode="none"
          textMode={textMode}
          justifyMode="auto"
          disableWideLayout
        />
      )}
    />
  );
}

function History({ panel, width, height }) {
  const rows = frames(panel);
  const axis = timeAxis(260, width);
  const rowHeight = (height - AXIS_HEIGHT) / rows.length;
  const cellWidth = axis.length(answers[panel.id].step_seconds);
  return (
    <svg width={width} height={height} fontFamily={theme.typography.fontFamily} fontSize={12}>
      {rows.map((one, row) => {
        const [time, value] = one.fields;
        return (
          <g key={row}>
            <text x={axis.left - 8} y={(row + 0.6) * rowHeight} textAnchor="end" fill={theme.colors.text.secondary}>
              {getFieldDisplayName(value, one)}
            </text>
            {time.values.map((when, index) => (
              <rect
                key={when}
                x={axis.across(when / 1000)}
                width={cellWidth + 0.5}
                y={(row + 0.1) * rowHeight}
                height={rowHeight * 0.8}
                fill={value.display(value.values[index]).color}
                fillOpacity={0.8}
              />
            ))}
          </g>
        );
      })}
      <Times axis={axis} y={height - 4} />
    </svg>
  );
}

function HeatMap({ panel, width, height }) {
  const { bounds, cells } = heat(answers[panel.id].series.A);
  if (cells.length === 0) {
    return <Empty />;
  }
  const axis = timeAxis(56, width);
  const rowHeight = (height - AXIS_HEIGHT) / bounds.length;
  const top = (row) => height - AXIS_HEIGHT - (row + 1) * rowHeight;
  const cellWidth = axis.length(answers[panel.id].step_seconds);
  const most = Math.max(...cells.map(({ count }) => count));
  return (
    <svg width={width} height={height} fontFamily={theme.typography.fontFamily} fontSize={11}>
      {bounds.map((bound, row) =>
        row % 2 === 0 ? (
          <text key={row} x={axis.left - 6} y={top(row) + rowHeight} textAnchor="end" fill={theme.colors.text.secondary}>
            {Number.isFinite(bound) ? `${bound} s` : '+Inf'}
          </text>
        ) : null,
      )}
      {cells.map(({ row, when, count }) => (
        <rect
          key={`${row} ${when}`}
          x={axis.across(when) - cellWidth}
          width={cellWidth + 0.5}
          y={top(row)}
          height={rowHeight - 1}
          fill={`hsl(${35 - 20 * (count / most)}, 95%, ${25 + 45 * Math.sqrt(count / most)}%)`}
        />
      ))}
      <Times axis={axis} y={height - 4} />
    </svg>
  );
}

// Buckets count what is at most as large as their bound; a cell is what is also larger than the bound before.
function heat(series) {
  const buckets = series.map(({ metric, values }) => ({ bound: Number(metric.le.replace('+Inf', 'Infinity')), values }));
  buckets.sort((one, other) => one.bound - other.bound);
  const below = new Map();
  const cells = buckets.flatMap(({ values }, row) =>
    values.map(([when, text]) => {
      const count = Number(text) - (below.get(when) ?? 0);
      below.set(when, Number(text));
      return { row, when, count };
    }),
  );
  return { bounds: buckets.map(({ bound }) => bound), cells: cells.filter(({ count }) => count > 1e-9) };
}

function timeAxis(left, width) {
  const length = (seconds) => (seconds / (ended - began)) * (width - left);
  return { left, length, across: (when) => left + length(when - began) };
}

function Times({ axis, y }) {
  const minutes = [];
  for (let when = Math.ceil(began / 60) * 60; when < ended; when += 60) {
    minutes.push(when);
  }
  return minutes.map((when) => (
    <text key={when} x={axis.across(when)} y={y} textAnchor="middle" fill={theme.colors.text.secondary}>
      {dateTime(when * 1000).utc().format('HH:mm')}
    </text>
  ));
}

function Empty() {
  return (
    <div style={{ display: 'grid', placeItems: 'center', height: '100%', color: theme.colors.text.secondary }}>
      No data
    </div>
  );
}

const KINDS = { timeseries: Lines, stat: Numbers, 'state-timeline': History, heatmap: HeatMap };

function Panel({ panel, place }) {
  const Kind = KINDS[panel.type];
  return (
    <div style={{ position: 'absolute', ...place }}>
      <PanelChrome
        title={panel.title}
        width={place.width}
        height={place.height}
        padding={panel.type === 'stat' ? 'none' : 'md'}
      >
        {(width, height) => <Kind panel={panel} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

function Page({ width }) {
  const cellWidth = (width - GAP) / COLUMNS;
  const cellHeight = CELL_HEIGHT + GAP;
  const places = board.panels.map(({ gridPos: { x = 0, y = 0, w, h } }) => ({
    left: GAP + x * cellWidth,
    top: HEADER_HEIGHT + y * cellHeight,
    width: w * cellWidth - GAP,
    height: h * cellHeight - GAP,
  }));
  document.title = `height=${GAP + Math.max(...places.map(({ top, height }) => top + height))}`;
  const note = 'Two real apiservers. Drawn by Grafana’s panel components, outside of Grafana.';
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h3 style={{ margin: '14px 16px' }}>
        {board.title} <small style={{ float: 'right', color: theme.colors.text.secondary }}>{note}</small>
      </h3>
      {board.panels.map((panel, index) =>
        panel.type === 'row' ? (
          <h5 key={panel.id} style={{ position: 'absolute', ...places[index], margin: '6px 8px' }}>
            {panel.title}
          </h5>
        ) : (
          <Panel key={panel.id} panel={panel} place={places[index]} />
        ),
      )}
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('page')).render(<Page width={document.body.clientWidth} />);
