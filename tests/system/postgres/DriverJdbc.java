// What pgjdbc hands its callers, as text: simple and extended query mode, binary transfer, batches, fetch size, COPY.
// usage: java DriverJdbc.java URL USER   (the password is the one line of standard input)
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class DriverJdbc {
    static void print(ResultSet rows) throws SQLException {
        int columns = rows.getMetaData().getColumnCount();
        for (int i = 1; i <= columns; i++) {
            System.out.print(rows.getMetaData().getColumnName(i) + ":" + rows.getMetaData().getColumnTypeName(i) + " ");
        }
        while (rows.next()) {
            for (int i = 1; i <= columns; i++) {
                boolean raw = rows.getMetaData().getColumnTypeName(i).equals("bytea");
                System.out.print((raw ? Arrays.toString(rows.getBytes(i)) : rows.getString(i)) + "|");
            }
            System.out.println();
        }
    }

    static void course(String url, Properties facts) throws Exception {
        try (Connection k = DriverManager.getConnection(url, facts)) {
            try (Statement s = k.createStatement()) {
                print(s.executeQuery("select id, i2, i8, f4, f8, n, b, d, u, j, jb, by, ta, ip, r, c, v, tx from t order by id"));
            }
            k.setAutoCommit(false);
            try (PreparedStatement p = k.prepareStatement("select id, i8, f8, n, ts, tz, by, tx from t where id > ? order by id")) {
                p.setFetchSize(7);
                for (int i = 0; i < 8; i++) {
                    p.setInt(1, i * 4);
                    print(p.executeQuery());
                }
            }
            try (PreparedStatement p = k.prepareStatement("insert into kv values (?, ?)")) {
                for (int i = 0; i < 300; i++) {
                    p.setInt(1, i);
                    p.setString(2, "v" + i);
                    p.addBatch();
                }
                System.out.println(p.executeBatch().length);
            }
            CopyManager copy = k.unwrap(PGConnection.class).getCopyAPI();
            System.out.println(copy.copyIn("copy kv from stdin", new StringReader("1000\ta\n1001\tb\n")));
            StringWriter text = new StringWriter();
            System.out.println(copy.copyOut("copy (select * from kv order by k) to stdout csv", text));
            System.out.println(text);
            try (Statement s = k.createStatement()) {
                s.executeQuery("select nosuch from t");
            } catch (SQLException e) {
                System.out.println(e.getSQLState() + " " + e.getMessage());
            }
            k.rollback();
            print(k.getMetaData().getColumns(null, "public", "t", "%"));
            k.rollback();
        }
    }

    public static void main(String[] args) throws Exception {
        String password = new BufferedReader(new InputStreamReader(System.in)).readLine();
        for (String mode : new String[] { "extended", "simple", "extendedForPrepared", "extendedCacheEverything" }) {
            Properties facts = new Properties();
            facts.setProperty("user", args[1]);
            facts.setProperty("password", password);
            facts.setProperty("preferQueryMode", mode);
            facts.setProperty("prepareThreshold", mode.equals("extended") ? "-1" : "3");
            System.out.println(mode);
            course(args[0], facts);
        }
    }
}
