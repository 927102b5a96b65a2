"""From the rows of the store to the rows of a chart, without Streamlit and without Altair."""
